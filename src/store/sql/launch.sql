-- $1 run, $2 backfill, $3 retry of, $4 cause, $5 request, $6 force, $7 per partition, $8 concurrency limit, $9 now,
-- $10 detail of the cause, $11 who asks, $12 detail of the event
-- by asset: $13 keys, $14 how many steps
-- by step: $15 asset keys, $16 partition keys, $17 ordinals, $18 ranks, $19 priorities, $20 pools, $21 only if stale, $22 ready
-- $23 channel, $24 word
--
-- What refers to the run or the backfill is checked at the end of the statement, when they are there.
with backfill as (
    insert into karat.backfill (backfill_id, created_at, request)
    select $2, $9, $5 where $2 is not null
    on conflict (backfill_id) do nothing
), run as (
    insert into karat.run
        (run_id, backfill_id, retry_of, cause, request, force, per_partition, concurrency_limit, requested_at, cause_detail,
         requested_by)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
), built as (
    insert into karat.run_asset (run_id, asset_key, requested_at, step_count)
    select $1, asset_key, $9, step_count from unnest($13::text[], $14::integer[]) as a (asset_key, step_count)
), steps as (
    insert into karat.step
        (run_id, asset_key, partition_key, ordinal, rank, priority, pool, only_if_stale, state, ready_at)
    select $1, asset_key, partition_key, ordinal, rank, priority, pool, only_if_stale,
           case when ready then 'ready' else 'pending' end, case when ready then $9 end
    from unnest($15::text[], $16::text[], $17::bigint[], $18::integer[], $19::integer[], $20::text[], $21::boolean[],
                $22::boolean[])
        as s (asset_key, partition_key, ordinal, rank, priority, pool, only_if_stale, ready)
), noted as (
    insert into karat.event (occurred_at, kind, run_id, detail) values ($9, 'run_launched', $1, $12)
)
select pg_notify($23, $24)
