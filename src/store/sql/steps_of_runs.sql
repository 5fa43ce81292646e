-- The open steps of the live runs $1, of each run and asset whose digest is not the one that is known: $4 runs, $5 assets and $6 digests,
-- pairwise. All steps, as ended, of the runs $2, which were not known. As stretches of ordinals; $3 assets whose partitions
-- are not made of time one by one, because positions of keys may have moved. First comes the digest of everything that is open.
-- `is true` keeps a condition from becoming a join: it is looked up in a table that is made once.
with digests as materialized (
    -- from the index alone: which steps wait and which run
    select run_id, asset_key, bit_xor(hashint8extended(ordinal, (state = 'running')::integer)) as digest
    from karat.step
    where run_id = any ($1::uuid[]) and state in ('pending', 'ready', 'running')
    group by run_id, asset_key
), changed as materialized (
    select d.run_id, d.asset_key
    from digests d
    left join unnest($4::uuid[], $5::text[], $6::bigint[]) as known (run_id, asset_key, digest)
        on known.run_id = d.run_id and known.asset_key = d.asset_key
    where known.digest is distinct from d.digest
)
select run_id, asset_key, 'open' as state, digest as first, digest as last, null as key
from digests
union all
select run_id, asset_key, state, lower(stretch), upper(stretch) - 1, null
from (
    select run_id, asset_key, case when state = 'running' then 'running' else 'waiting' end as state,
           range_agg(int8range(ordinal, ordinal, '[]')) as stretches
    from karat.step
    where run_id = any (array(select run_id from changed)) and ((run_id, asset_key) in (select run_id, asset_key from changed)) is true
      and state in ('pending', 'ready', 'running') and asset_key <> all ($3::text[])
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
where run_id = any (array(select run_id from changed)) and ((run_id, asset_key) in (select run_id, asset_key from changed)) is true
  and state in ('pending', 'ready', 'running') and asset_key = any ($3)
union all
select run_id, asset_key, 'ended', ordinal, ordinal, partition_key
from karat.step
where run_id = any ($2) and asset_key = any ($3)
