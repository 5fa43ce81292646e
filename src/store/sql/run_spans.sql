-- $1 run, $2 assets. From when to when the steps of each were carried out, by state: for runs with too many attempts to be told
-- one by one. Of each asset the first and the last steps are looked at, which is where its work began and ended.
select asset_key, min(rank) as rank, min(ordinal) as first, max(ordinal) as last, max(step_count)::bigint as partitions,
       1::bigint as attempt, min(started_at) as started_at,
       case when state <> 'running' then max(finished_at) end as finished_at, state as outcome
from (
    select s.*, a.step_count
    from karat.run_asset a
    cross join lateral (
        (select asset_key, rank, ordinal, started_at, finished_at, state from karat.step
         where run_id = a.run_id and asset_key = a.asset_key order by ordinal limit 5)
        union all
        (select asset_key, rank, ordinal, started_at, finished_at, state from karat.step
         where run_id = a.run_id and asset_key = a.asset_key order by ordinal desc limit 5)
    ) s
    where a.run_id = $1 and a.asset_key = any($2)
) steps
where started_at is not null
group by asset_key, state
order by rank, asset_key, started_at
