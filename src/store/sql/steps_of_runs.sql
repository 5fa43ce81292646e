-- $1 live runs: their open steps; $2 runs that were not known: all their steps, as ended; $3 assets whose partitions are not made of time: one by
-- one, because positions of keys may have moved. Of the others stretches of ordinals.
select run_id, asset_key, state, lower(stretch) as first, upper(stretch) - 1 as last, null as key
from (
    select run_id, asset_key, case when state = 'running' then 'running' else 'waiting' end as state,
           range_agg(int8range(ordinal, ordinal, '[]')) as stretches
    from karat.step
    where run_id = any ($1::uuid[]) and state in ('pending', 'ready', 'running') and asset_key <> all ($3::text[])
    group by run_id, asset_key, state = 'running'
    union all
    select run_id, asset_key, 'ended', range_agg(int8range(ordinal, ordinal, '[]'))
    from karat.step
    where run_id = any ($2::uuid[]) and asset_key <> all ($3)
    group by run_id, asset_key
) sets
cross join lateral unnest(stretches) as stretch
union all
select run_id, asset_key, case when state = 'running' then 'running' else 'waiting' end, ordinal, ordinal, partition_key
from karat.step
where run_id = any ($1) and state in ('pending', 'ready', 'running') and asset_key = any ($3)
union all
select run_id, asset_key, 'ended', ordinal, ordinal, partition_key
from karat.step
where run_id = any ($2) and asset_key = any ($3)
