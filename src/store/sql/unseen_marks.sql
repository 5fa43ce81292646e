-- Marks of two kinds: filed under a partition, and by a stretch of less than a quarter of an hour.
-- What is below a snapshot's oldest running transaction is visible in it: that condition is there for the index.
-- The lists are questions of their own: the server then does not know how long they are and plans once, not at each call.
select q.question, q.asset_key, sum(k.row_count)::bigint as row_count, sum(k.rows_removed)::bigint as rows_removed,
       min(coalesce(k.first_marked_at, k.marked_at)) as since, max(k.marked_at) as newest,
       array_agg(distinct k.writer) as writers
from unnest((select $1::bigint[]), (select $2::text[]), (select $3::bigint[]), (select $4::bigint[]),
            (select $5::timestamptz[]), (select $6::timestamptz[]), (select $7::text[]), (select $8::text[]))
     as q (question, asset_key, first, last, start_at, end_at, partition_key, snapshot)
cross join lateral (
    select * from karat.mark f
    where f.asset_key = q.asset_key and f.ordinal between q.first and q.last
      and (q.partition_key is null or f.partition_key = q.partition_key)
      and f.transaction_id >= pg_snapshot_xmin(q.snapshot::pg_snapshot)
      and not pg_visible_in_snapshot(f.transaction_id, q.snapshot::pg_snapshot)
    union all
    select * from karat.mark u
    where u.asset_key = q.asset_key and u.ordinal is null
      and u.first_at > q.start_at - interval '15 minutes' and u.first_at < q.end_at and u.last_at >= q.start_at
      and u.transaction_id >= pg_snapshot_xmin(q.snapshot::pg_snapshot)
      and not pg_visible_in_snapshot(u.transaction_id, q.snapshot::pg_snapshot)
) k
group by q.question, q.asset_key
