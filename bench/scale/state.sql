-- The state of a large installation, by statements over sets. `bench.asset` and `bench.partition` are there already.
-- Each part ends with a line of dashes and begins with its name.

-- name: marks
insert into karat.mark (asset_key, partition_key, ordinal, row_count, writer, marked_at)
select a.asset_key, p.partition_key, p.ordinal, 1000 + p.ordinal % 100, 'collector', p.ended_at
from bench.asset a join bench.partition p using (cadence)
where not a.built;
-----
-- name: what was built
create unlogged table bench.built as
select row_number() over (order by p.ended_at, a.number) as n, a.number, a.asset_key, a.code_version, a.first_upstream,
       a.second_upstream, p.partition_key, p.ordinal, md5(a.asset_key || p.partition_key) as data_version
from bench.asset a join bench.partition p using (cadence)
where a.built and p.closed and hashtext(a.asset_key || p.partition_key) % 1000 <> 0;
create index on bench.built (asset_key, partition_key);
create index on bench.built (n);
analyze bench.built;
-----
-- name: runs
create unlogged table bench.run as
with sizes as (select count(*) as built, count(*) / 9 as more from bench.built),
numbered as (
    -- A ninth more runs than partitions: skipped, failed and canceled ones, each on some partition and before the run that
    -- built it.
    select n, true as is_built, n::double precision / built as place from bench.built, sizes
    union all
    select built + m, false, m::double precision / more from sizes, generate_series(1, more) as m
)
select *, bench.run_id(requested_at, n) as run_id
from (
select n, is_built, case when is_built then n else 1 + n * 7919 % built end as target,
       now() - interval '90 days' + place * interval '90 days' - interval '10 seconds'
           - case when is_built then interval '0' else interval '1 minute' end as requested_at,
       (array['schedule', 'schedule', 'schedule', 'schedule', 'schedule', 'automation', 'automation', 'automation',
              'sensor', 'manual'])[1 + n % 10] as cause,
       case when is_built then 'succeeded' when n % 20 < 14 then 'skipped' when n % 20 < 19 then 'failed' else 'canceled' end
           as step_state
from numbered, sizes
) made;
create index on bench.run (n);
analyze bench.run;
insert into karat.run (run_id, cause, request, requested_at, launch_number, finish_number, finished_at, outcome, requested_by,
                       cause_detail, succeeded_steps, skipped_steps, failed_steps, blocked_steps, canceled_steps)
select run_id, cause, jsonb_build_object('command', 'materialize generated ' || n), requested_at, 2 * n, 2 * n + 1,
       requested_at + interval '3 seconds',
       case step_state when 'failed' then 'failed' when 'canceled' then 'canceled' else 'succeeded' end,
       case when cause = 'manual' then (array['ada', 'grace', 'linus'])[1 + n % 3] end,
       case cause when 'schedule' then jsonb_build_object('schedule', 'nightly', 'tick_at', requested_at) end,
       (step_state = 'succeeded')::integer, (step_state = 'skipped')::integer, (step_state = 'failed')::integer, 0,
       (step_state = 'canceled')::integer
from bench.run;
insert into karat.run_asset (run_id, asset_key, requested_at, step_count)
select r.run_id, b.asset_key, r.requested_at, 1 from bench.run r join bench.built b on b.n = r.target;
-----
-- name: steps
-- What built a partition has the higher number: it is the newest step.
insert into karat.step (step_id, run_id, asset_key, partition_key, ordinal, rank, priority, state, reason, attempts, ready_at,
                        worker_id, lease_epoch, started_at, finished_at)
overriding system value
select case when is_built then 100000000 else 0 end + r.n, r.run_id, b.asset_key, b.partition_key, b.ordinal, 0,
       0, step_state, case step_state when 'failed' then 'the file of the day is not there' when 'skipped' then 'fresh already' end,
       1, requested_at, '00000000-0000-7000-8000-000000000001', 1, requested_at + interval '1 second',
       requested_at + interval '3 seconds'
from bench.run r join bench.built b on b.n = r.target;
-----
-- name: attempts
insert into karat.attempt (step_id, lease_epoch, worker_id, started_at, finished_at, outcome, error_kind, error)
select case when is_built then 100000000 else 0 end + n, 1, '00000000-0000-7000-8000-000000000001',
       requested_at + interval '1 second', requested_at + interval '3 seconds', step_state,
       case step_state when 'failed' then 'fatal' end, case step_state when 'failed' then 'the file of the day is not there' end
from bench.run;
-----
-- name: events
insert into karat.event (occurred_at, kind, run_id, detail)
select requested_at, 'run_launched', run_id, '{"steps": 1}'::jsonb from bench.run
union all
select requested_at + interval '3 seconds', 'run_finished', run_id, '{"outcome": "succeeded"}'::jsonb from bench.run;
-----
-- name: materializations
with versions as (
    select asset_key, partition_key,
           '1:' || left(encode(sha256(convert_to(partition_key, 'UTF8') || '\x00'::bytea || convert_to(data_version, 'UTF8')),
                               'hex'), 32) as digest
    from bench.built
)
insert into karat.materialization (asset_key, partition_key, ordinal, run_id, step_id, lease_epoch, row_count, data_version,
                                   code_version, content_changed, open, input_versions, snapshot, metadata, materialized_at)
select b.asset_key, b.partition_key, b.ordinal, r.run_id, 100000000 + b.n, 1, 1000 + b.n % 977, b.data_version, b.code_version,
       true, false,
       case when b.first_upstream like 'silver.%' then jsonb_build_object(
           b.first_upstream, coalesce(f.digest, '0:00000000000000000000000000000000'),
           b.second_upstream, coalesce(s.digest, '0:00000000000000000000000000000000')) else '{}' end,
       pg_current_snapshot(), jsonb_build_object('bytes', 4096 + b.n % 8191, 'players', b.n % 64), r.requested_at + interval '3 seconds'
from bench.built b
join bench.run r on r.n = b.n
left join versions f on f.asset_key = b.first_upstream and f.partition_key = b.partition_key
left join versions s on s.asset_key = b.second_upstream and s.partition_key = b.partition_key;
-----
-- name: check results
insert into karat.check_result (step_id, lease_epoch, asset_key, partition_key, check_name, blocking, passed, offending_rows,
                                message, checked_at, failure_seen_at)
select 100000000 + b.n, 1, b.asset_key, b.partition_key, 'not_null_value', false, b.n % 5000 <> 0,
       case when b.n % 5000 = 0 then 3 else 0 end, case when b.n % 5000 = 0 then '3 rows without a value' else 'passed' end,
       r.requested_at + interval '2 seconds', case when b.n % 5000 = 0 then r.requested_at end
from bench.built b join bench.run r on r.n = b.n;
-----
-- name: log lines
insert into karat.log_line (logged_at, run_id, step_id, lease_epoch, sequence, level, target, message, fields)
select requested_at + interval '1 second' + line * interval '100 milliseconds', run_id, 100000000 + n, 1, line,
       (array['info', 'info', 'info', 'info', 'info', 'debug', 'debug', 'debug', 'warn', 'error'])[1 + (line + n) % 10],
       'generated::asset', 'read part ' || line || ' of the day, and it was as expected', jsonb_build_object('rows', line * 100)
from bench.run, generate_series(1, 10) as line
where is_built;
-----
-- name: one backfill of many partitions, and many of one
insert into karat.backfill (backfill_id, created_at, request)
values ('00000000-0000-7000-8000-00000000b001', now() - interval '2 days', '{"command": "backfill gold.*"}');
insert into karat.run (run_id, backfill_id, cause, request, requested_at, finish_number, finished_at, outcome, succeeded_steps,
                       skipped_steps, failed_steps, blocked_steps, canceled_steps)
select bench.run_id(now() - interval '2 days', 1), '00000000-0000-7000-8000-00000000b001', 'backfill', '{"command": "backfill gold.*"}',
       now() - interval '2 days', nextval('karat.run_order'), now() - interval '1 day', 'failed',
       count(*) filter (where n % 200 <> 0), 0, count(*) filter (where n % 200 = 0), 0, 0
from (select n from bench.built where asset_key like 'gold.%' order by n limit 100000) b;
insert into karat.step (step_id, run_id, asset_key, partition_key, ordinal, rank, priority, state, reason, attempts, ready_at,
                        worker_id, lease_epoch, started_at, finished_at)
overriding system value
select 50000000 + n, bench.run_id(now() - interval '2 days', 1), asset_key, partition_key, ordinal,
       dense_rank() over (order by asset_key) - 1, 0,
       case when n % 200 = 0 then 'failed' else 'succeeded' end, case when n % 200 = 0 then 'out of disk space' end, 1,
       now() - interval '2 days', '00000000-0000-7000-8000-000000000001', 1, now() - interval '1 day', now() - interval '1 day'
from (select * from bench.built where asset_key like 'gold.%' order by n limit 100000) b;
insert into karat.run_asset (run_id, asset_key, requested_at, step_count)
select run_id, asset_key, now() - interval '2 days', count(*) from karat.step
where run_id = bench.run_id(now() - interval '2 days', 1) group by run_id, asset_key;
insert into karat.log_line (logged_at, run_id, step_id, lease_epoch, sequence, level, target, message, fields)
select now() - interval '1 day' + step_id % 1000 * interval '10 seconds', run_id, step_id, 1, line, 'info', 'generated::asset',
       'read a part of the day', '{}'
from karat.step, generate_series(1, 5) as line
where run_id = bench.run_id(now() - interval '2 days', 1);
insert into karat.backfill (backfill_id, created_at, request)
select bench.run_id(requested_at, n), requested_at, '{"command": "backfill one"}' from bench.run where n % 500 = 3 and is_built;
update karat.run r set backfill_id = bench.run_id(b.requested_at, b.n), cause = 'backfill'
from bench.run b
where b.n % 500 = 3 and is_built and r.run_id = b.run_id;
-----
-- name: a live run, and what failed last
insert into karat.run (run_id, cause, request, requested_at, paused_at)
values (bench.run_id(now() - interval '5 minutes', 2), 'manual', '{"command": "materialize silver.*"}', now() - interval '5 minutes',
        now() - interval '4 minutes');
insert into karat.step (step_id, run_id, asset_key, partition_key, ordinal, rank, priority, state, ready_at)
overriding system value
select 300000000 + n, bench.run_id(now() - interval '5 minutes', 2), asset_key, partition_key, ordinal,
       dense_rank() over (order by asset_key) - 1, 0,
       case when n % 2 = 0 then 'ready' else 'pending' end, now() - interval '5 minutes'
from (select * from bench.built where asset_key like 'silver.%' order by n desc limit 5000) b;
insert into karat.run (run_id, cause, request, requested_at, finish_number, finished_at, outcome, succeeded_steps, skipped_steps,
                       failed_steps, blocked_steps, canceled_steps)
values (bench.run_id(now() - interval '3 minutes', 3), 'schedule', '{"command": "schedule nightly"}', now() - interval '3 minutes',
        nextval('karat.run_order'), now() - interval '2 minutes', 'failed', 0, 0, 300, 0, 0);
insert into karat.step (step_id, run_id, asset_key, partition_key, ordinal, rank, priority, state, reason, attempts, ready_at,
                        worker_id, lease_epoch, started_at, finished_at)
overriding system value
select 400000000 + n, bench.run_id(now() - interval '3 minutes', 3), asset_key, partition_key, ordinal,
       dense_rank() over (order by asset_key) - 1, 0, 'failed',
       'relation "nothing" does not exist', 1, now() - interval '3 minutes', '00000000-0000-7000-8000-000000000001', 1,
       now() - interval '3 minutes', now() - interval '2 minutes'
from (select * from bench.built where asset_key like 'gold.%' and n % 997 = 0 order by n limit 300) b;
insert into karat.attempt (step_id, lease_epoch, worker_id, started_at, finished_at, outcome, error_kind, error)
select step_id, 1, worker_id, started_at, finished_at, 'failed', 'fatal', reason from karat.step where step_id > 400000000;
insert into karat.run_asset (run_id, asset_key, requested_at, step_count)
select run_id, asset_key, min(ready_at), count(*) from karat.step where step_id > 300000000 group by run_id, asset_key;
-----
-- name: a run that says much
insert into karat.log_line (logged_at, run_id, step_id, lease_epoch, sequence, level, target, message, fields)
select r.requested_at + line * interval '5 microseconds', r.run_id, 100000000 + r.n, 1, 100 + line,
       case when line % 1000 = 0 then 'error' else 'info' end, 'generated::asset', 'line ' || line || ' of very many', '{}'
from (select * from bench.run where is_built order by n desc limit 1) r, generate_series(1, 500000) as line;
-----
-- name: rows that came late
insert into karat.mark (asset_key, partition_key, ordinal, row_count, writer, marked_at)
select asset_key, partition_key, ordinal, 7, 'collector', now() - interval '1 hour'
from karat.mark where mark_id % 997 = 0;
-----
-- name: numbers that go on
select setval(pg_get_serial_sequence('karat.step', 'step_id'), 500000000),
       setval('karat.run_order', (select max(finish_number) + 10 from karat.run));
