-- $1 asset, $2 nothing, $3 limit. What the newest runs of the asset published, and the present versions of the last
-- partitions: by indexes that are there for other things, because each is written with every publication.
with published as (
    select s.step_id, s.partition_key
    from (
        select run_id, requested_at from karat.run_asset
        where asset_key = $1 and $2::text is null
        order by requested_at desc, run_id desc limit 1000
    ) r
    cross join lateral (
        select step_id, partition_key from karat.step
        where run_id = r.run_id and asset_key = $1 and state = 'succeeded'
        order by ordinal desc limit $3
    ) s
    order by r.requested_at desc, r.run_id desc
    limit $3
)
select m.materialization_id, m.partition_key, m.run_id, m.row_count, m.data_version, m.code_version,
       m.content_changed, m.open, m.incomplete_inputs, m.metadata, m.materialized_at, m.current
from published p
join karat.materialization m on m.asset_key = $1 and m.partition_key = p.partition_key and m.current and m.step_id = p.step_id
union
select m.materialization_id, m.partition_key, m.run_id, m.row_count, m.data_version, m.code_version,
       m.content_changed, m.open, m.incomplete_inputs, m.metadata, m.materialized_at, m.current
from published p
join karat.materialization m
  on m.asset_key = $1 and m.partition_key = p.partition_key and not m.current and m.step_id = p.step_id
union
(select m.materialization_id, m.partition_key, m.run_id, m.row_count, m.data_version, m.code_version,
       m.content_changed, m.open, m.incomplete_inputs, m.metadata, m.materialized_at, m.current
 from karat.materialization m
 where asset_key = $1 and current and ordinal is not null
 order by ordinal desc limit $3)
order by materialization_id desc
limit $3
