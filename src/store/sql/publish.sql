-- One round trip for the fence and everything that is recorded with a publication.
-- $1 steps, $2 epochs, $3 partition keys, $4 ordinals, $5 row counts, $6 data versions, $7 changed, $8 open, $9 inputs,
-- $10 incomplete inputs, $11 worker, $12 asset, $13 code version, $14 run, $15 metadata, $16 started at, $17 finished at
with published as materialized (
    select *
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::boolean[], $8::boolean[],
                $9::jsonb[], $10::jsonb[])
        as p (step_id, lease_epoch, partition_key, ordinal, row_count, data_version, content_changed, open,
              input_versions, incomplete_inputs)
), fenced as (
    update karat.step s
    set state = 'succeeded', reason = null, finished_at = $17
    from published p
    where s.step_id = p.step_id and s.lease_epoch = p.lease_epoch and s.worker_id = $11 and s.state = 'running'
    returning s.step_id
), retired as (
    update karat.materialization m
    set current = false
    from published p
    where m.asset_key = $12 and m.partition_key = p.partition_key and m.current
    returning 1
), recorded as (
    insert into karat.materialization
        (asset_key, partition_key, ordinal, run_id, step_id, lease_epoch, row_count, data_version, code_version,
         content_changed, open, incomplete_inputs, input_versions, snapshot, metadata, materialized_at)
    select $12, p.partition_key, p.ordinal, $14, p.step_id, p.lease_epoch, p.row_count, p.data_version, $13,
           p.content_changed, p.open, p.incomplete_inputs, p.input_versions, pg_current_snapshot(), $15, $17
    from published p
    -- forces the version before it to be retired first: only one may be current
    where (select count(*) from retired) >= 0
), tried as (
    insert into karat.attempt (step_id, lease_epoch, worker_id, range_size, started_at, finished_at, outcome)
    select p.step_id, p.lease_epoch, $11, cardinality($1), $16, $17, 'succeeded'
    from published p
)
select count(*) from fenced
