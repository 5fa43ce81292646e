-- What happened since a snapshot, and the snapshot to ask with next time. One statement: nothing can happen in between.
-- $1 snapshot, $2 runs that were live, $3 at most so many of each kind
select 'snapshot' as kind, '' as asset_key, null as partition_key, null::timestamptz as first_at,
       null::timestamptz as last_at, pg_current_snapshot()::text as detail
union all
(select case when content_changed then 'published' else 'confirmed' end, asset_key, partition_key, null, null, ''
 from karat.materialization
 where transaction_id >= pg_snapshot_xmin($1::pg_snapshot) and not pg_visible_in_snapshot(transaction_id, $1::pg_snapshot)
 limit $3)
union all
(select distinct 'landed', asset_key, partition_key, first_at, last_at, ''
 from karat.mark
 where transaction_id >= pg_snapshot_xmin($1::pg_snapshot) and not pg_visible_in_snapshot(transaction_id, $1::pg_snapshot)
 limit $3)
union all
select 'ended', '', null, null, null, run_id::text
from unnest($2::uuid[]) as watched (run_id)
where not exists (select from karat.run r where r.run_id = watched.run_id and r.finished_at is null)
union all
-- Another server's numbers: the database was restored.
select 'restored', '', null, null, null, ''
where pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax($1::pg_snapshot)
