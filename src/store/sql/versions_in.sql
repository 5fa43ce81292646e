-- $1 asset keys, $2 first, $3 last of the ranges to be known in full; $4, $5, $6 of those that are only read
select m.asset_key, m.partition_key, m.ordinal, m.data_version, true as own, m.code_version, m.input_versions, m.open,
       m.incomplete_inputs is not null as incomplete, m.row_count, m.materialized_at, m.run_id,
       coalesce((
           select coalesce(r.finish_number, 9223372036854775807) from karat.run r where r.run_id = m.run_id
       ), 0) as run_finish_number,
       m.snapshot::text as snapshot
from karat.current_versions($1, $2, $3) m
union all
select m.asset_key, m.partition_key, m.ordinal, m.data_version, false, null, null, null,
       null, null, null, null,
       null,
       null
from karat.current_versions($4, $5, $6) m
