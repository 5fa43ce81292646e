-- One round trip for the fence and everything that is recorded with a publication; how many steps were still held.
-- $1 steps, $2 epochs, $3 partition keys, $4 ordinals, $5 row counts, $6 data versions, $7 changed, $8 open, $9 inputs,
-- $10 incomplete inputs, $11 worker, $12 asset, $13 code version, $14 run, $15 metadata, $16 started at, $17 finished at
select count(*) filter (
    where karat.publish(
        step_id => p.step_id, lease_epoch => p.lease_epoch, worker_id => $11, range_size => cardinality($1),
        asset_key => $12, partition_key => p.partition_key, ordinal => p.ordinal, run_id => $14,
        row_count => p.row_count, data_version => p.data_version, code_version => $13,
        content_changed => p.content_changed, open => p.open, incomplete_inputs => p.incomplete_inputs,
        input_versions => p.input_versions, metadata => $15, started_at => $16, finished_at => $17
    )
)
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::boolean[], $8::boolean[],
            $9::jsonb[], $10::jsonb[])
    as p (step_id, lease_epoch, partition_key, ordinal, row_count, data_version, content_changed, open,
          input_versions, incomplete_inputs)
