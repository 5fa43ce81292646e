-- $1 asset, $2 ordinals. The present versions of these partitions, with how long what built them took.
select m.partition_key, m.ordinal, m.run_id, m.row_count, m.data_version, m.code_version, m.open, m.metadata, m.materialized_at,
       extract(epoch from s.finished_at - s.started_at)::double precision as seconds
from unnest($2::bigint[]) as wanted (ordinal)
cross join lateral (
    select * from karat.materialization
    where current and asset_key = $1 and ordinal = wanted.ordinal
    limit 1
) m
left join karat.step s on s.step_id = m.step_id
