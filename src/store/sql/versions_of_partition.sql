-- $1 asset, $2 partition, $3 limit. The present version and the replaced ones are in an index each.
select m.materialization_id, m.partition_key, m.run_id, m.row_count, m.data_version, m.code_version,
       m.content_changed, m.open, m.incomplete_inputs, m.metadata, m.materialized_at, m.current
from karat.materialization m
where asset_key = $1 and partition_key = $2 and current
union all
(select m.materialization_id, m.partition_key, m.run_id, m.row_count, m.data_version, m.code_version,
       m.content_changed, m.open, m.incomplete_inputs, m.metadata, m.materialized_at, m.current
 from karat.materialization m
 where asset_key = $1 and partition_key = $2 and not current
 order by materialization_id desc limit $3)
order by materialization_id desc
limit $3
