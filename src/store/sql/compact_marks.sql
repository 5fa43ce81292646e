-- $1 asset, $2 its readers, $3 made before, $4 what is seen by whoever begins now, $5 from this transaction on a snapshot
-- in use may not see it; null when none is in use.
--
-- A snapshot does not see a transaction at or above its upper end, nor one that it lists as running. So the snapshots that
-- do not see a mark are said by two things: how many upper ends are at or below its transaction, and which lists have it.
-- Marks that agree in both are seen by the same snapshots.
with snapshots as materialized (
    select distinct snapshot::text as snapshot from karat.materialization where current and asset_key = any($2)
), ends as materialized (
    -- `width_bucket` refuses an empty list; no transaction is below 0
    select array[0::bigint] || coalesce(array_agg(pg_snapshot_xmax(snapshot::pg_snapshot)::text::bigint
                                                  order by pg_snapshot_xmax(snapshot::pg_snapshot)), '{}') as highs
    from snapshots
), running as materialized (
    select x.id, array_agg(s.snapshot order by s.snapshot) as listed_by
    from snapshots s cross join lateral pg_snapshot_xip(s.snapshot::pg_snapshot) as x (id)
    group by x.id
), marks as (
    select k.mark_id, k.ordinal, k.partition_key, k.writer, r.listed_by,
           width_bucket(k.transaction_id::text::bigint, e.highs) as ended
    from karat.mark k cross join ends e left join running r on r.id = k.transaction_id
    where k.asset_key = $1 and k.ordinal is not null and k.marked_at < $3
      and pg_visible_in_snapshot(k.transaction_id, $4::pg_snapshot)
      and ($5::text is null or k.transaction_id < $5::xid8)
), alike as (
    select mark_id, min(mark_id) over (partition by ordinal, partition_key, writer, ended, listed_by) as first_id,
           count(*) over (partition by ordinal, partition_key, writer, ended, listed_by) as marks
    from marks
), gone as (
    delete from karat.mark k using alike a
    where k.mark_id = a.mark_id and a.marks > 1
    returning k.*, a.first_id
), merged as (
    insert into karat.mark
        (asset_key, partition_key, ordinal, transaction_id, row_count, rows_removed, writer, marked_at, first_marked_at)
    select asset_key, partition_key, ordinal, (array_agg(transaction_id order by transaction_id desc))[1],
           sum(row_count), sum(rows_removed), writer, max(marked_at), min(coalesce(first_marked_at, marked_at))
    from gone
    group by asset_key, partition_key, ordinal, writer, first_id
    returning 1
)
select (select count(*) from gone) - (select count(*) from merged)
