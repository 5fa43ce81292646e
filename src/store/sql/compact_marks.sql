-- $1 asset, $2 its readers, $3 made before, $4 every transaction below is seen by all that are under way.
--
-- A snapshot tells two marks apart only when its range from the oldest running to the next transaction lies between them
-- or has one of them in it. With the ends of all ranges in order, the number of ranges that end at or below a mark is its
-- band; a mark in a range counts more beginnings than ends and is left alone.
with snapshots as materialized (
    select distinct pg_snapshot_xmin(snapshot)::text::bigint as low, pg_snapshot_xmax(snapshot)::text::bigint as high
    from karat.materialization
    where current and asset_key = any($2)
), ranges as materialized (
    -- `width_bucket` refuses an empty list; no transaction is below 0
    select array[0::bigint] || coalesce(array_agg(low order by low), '{}') as lows,
           array[0::bigint] || coalesce(array_agg(high order by high), '{}') as highs
    from snapshots
), bands as (
    select k.mark_id,
           count(*) over (partition by k.ordinal, k.partition_key, k.writer, width_bucket(k.transaction_id::text::bigint, r.highs)) as marks,
           width_bucket(k.transaction_id::text::bigint, r.highs) as band
    from karat.mark k cross join ranges r
    where k.asset_key = $1 and k.ordinal is not null and k.marked_at < $3 and k.transaction_id < $4::text::xid8
      and width_bucket(k.transaction_id::text::bigint, r.lows) = width_bucket(k.transaction_id::text::bigint, r.highs)
), gone as (
    delete from karat.mark k using bands b
    where k.mark_id = b.mark_id and b.marks > 1
    returning k.*, b.band
), merged as (
    insert into karat.mark
        (asset_key, partition_key, ordinal, transaction_id, row_count, rows_removed, writer, marked_at, first_marked_at)
    select asset_key, partition_key, max(ordinal), (array_agg(transaction_id order by transaction_id desc))[1],
           sum(row_count), sum(rows_removed), writer, max(marked_at), min(coalesce(first_marked_at, marked_at))
    from gone
    group by asset_key, partition_key, ordinal, writer, band
    returning 1
)
select (select count(*) from gone) - (select count(*) from merged)
