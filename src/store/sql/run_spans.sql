-- $1 run. From when to when the steps of each asset were carried out, by state: for runs with too many attempts to be told
-- one by one.
select asset_key, min(rank) as rank, min(ordinal) as first, max(ordinal) as last, count(*) as partitions,
       1::bigint as attempt, min(started_at) as started_at,
       case when state <> 'running' then max(finished_at) end as finished_at, state as outcome
from karat.step
where run_id = $1 and started_at is not null
group by asset_key, state
order by rank, asset_key, started_at
