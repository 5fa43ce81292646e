-- $1 live runs: their open steps; $2 runs that were not known: all their steps, as ended; $3 assets whose partitions are not made of time: one by
-- one, because positions of keys may have moved. Of the others stretches, by gaps and islands over the ordinals.
select run_id, asset_key, state, min(ordinal) as first, max(ordinal) as last, min(partition_key) as first_key
from (
    select *, case when asset_key = any ($3::text[]) then partition_key end as alone,
           ordinal - row_number() over (partition by run_id, asset_key, state order by ordinal) as island
    from (
        select run_id, asset_key, ordinal, partition_key,
               case state when 'running' then 'running' else 'waiting' end as state
        from karat.step
        where run_id = any ($1::uuid[]) and state in ('pending', 'ready', 'running')
        union all
        select run_id, asset_key, ordinal, partition_key, 'ended'
        from karat.step
        where run_id = any ($2::uuid[])
    ) steps
) numbered
group by run_id, asset_key, state, island, alone
