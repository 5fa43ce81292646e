-- Orchestration state. Every statement about these tables lives in src/store.
-- Times come from the caller's clock, never from now(): the same rules then hold under a simulated clock.

create schema if not exists karat;

comment on schema karat is 'Orchestration state of Karat: runs, steps, attempts, materializations, checks, marks, logs';

-- A process that carries out steps. Its row is its lease: every step it runs is live while the row is.
create table karat.worker (
    worker_id    uuid primary key,
    host         text not null,
    process_id   integer not null,
    started_at   timestamptz not null,
    heartbeat_at timestamptz not null,
    expires_at   timestamptz not null
);

-- A requested set of partitions × assets. What is left of it is a query over the steps of its runs.
create table karat.backfill (
    backfill_id uuid primary key,
    created_at  timestamptz not null,
    request     jsonb not null
);

-- Numbers launches and ends of runs in one order: which runs were live together is a comparison of numbers, not of
-- clocks of different machines.
create sequence karat.run_order;

-- One request to do work. Live while finished_at is null.
create table karat.run (
    run_id              uuid primary key,
    backfill_id         uuid references karat.backfill,
    retry_of            uuid references karat.run,
    cause               text not null check (cause in ('manual', 'backfill', 'retry', 'schedule', 'automation', 'sensor')),
    request             jsonb not null,
    -- build although required upstream partitions are missing; the gap is recorded with the materialization
    force               boolean not null default false,
    -- one statement per partition even where an asset could build a range at once
    per_partition       boolean not null default false,
    -- how many steps of this run may be running at once; null is as many as there are slots
    concurrency_limit   integer check (concurrency_limit > 0),
    requested_at        timestamptz not null,
    launch_number       bigint not null default nextval('karat.run_order'),
    finish_number       bigint,
    paused_at           timestamptz,
    cancel_requested_at timestamptz,
    finished_at         timestamptz,
    outcome             text check (outcome in ('succeeded', 'failed', 'canceled')),
    check ((finished_at is null) = (outcome is null))
);

create index run_live on karat.run (run_id) where finished_at is null;
create index run_backfill on karat.run (backfill_id) where backfill_id is not null;

-- One asset × one partition of a run. Succeeded, skipped, failed, blocked and canceled are final.
create table karat.step (
    step_id       bigint generated always as identity primary key,
    run_id        uuid not null references karat.run,
    asset_key     text not null,
    partition_key text not null,
    ordinal       bigint not null,
    -- position of the asset in the graph: upstream first
    rank          integer not null,
    priority      integer not null,
    pool          text,
    -- skip when the partition turns out to be fresh at the moment it would be built
    only_if_stale boolean not null default false,
    state         text not null default 'pending'
        check (state in ('pending', 'ready', 'running', 'succeeded', 'skipped', 'failed', 'blocked', 'canceled')),
    -- why it was skipped, failed, blocked or canceled
    reason        text,
    -- attempts that count against the retry policy
    attempts      integer not null default 0,
    ready_at      timestamptz,
    worker_id     uuid,
    -- grows with every claim; the fence of a commit compares it
    lease_epoch   bigint not null default 0,
    started_at    timestamptz,
    finished_at   timestamptz,
    unique (run_id, asset_key, ordinal)
);

-- A partition is built by one step at a time, whatever run asks for it.
create unique index step_running on karat.step (asset_key, partition_key) where state = 'running';
create index step_ready on karat.step (priority desc, run_id, rank, ordinal) where state = 'ready';
create index step_open on karat.step (run_id) where state in ('pending', 'ready', 'running');
create index step_partition on karat.step (asset_key, partition_key, step_id desc);

-- One try of a step, written when it ends.
create table karat.attempt (
    step_id     bigint not null references karat.step,
    lease_epoch bigint not null,
    worker_id   uuid not null,
    -- how many steps were carried out together by the same transaction
    range_size  integer not null default 1,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    outcome     text not null check (outcome in ('succeeded', 'skipped', 'failed', 'canceled', 'lost')),
    error_kind  text,
    error       text,
    backtrace   text,
    primary key (step_id, lease_epoch)
);

-- The fact that a partition was published by an attempt.
create table karat.materialization (
    materialization_id bigint generated always as identity primary key,
    asset_key          text not null,
    partition_key      text not null,
    ordinal            bigint not null,
    run_id             uuid not null references karat.run,
    step_id            bigint not null references karat.step,
    lease_epoch        bigint not null,
    row_count          bigint not null,
    data_version       text not null,
    code_version       text not null,
    -- whether the content differs from the version before it
    content_changed    boolean not null,
    -- published before its window closed
    open               boolean not null,
    -- required upstream partitions that did not exist, when building was forced
    incomplete_inputs  jsonb,
    -- upstream asset → digest of the data versions read
    input_versions     jsonb not null,
    -- what the attempt could see: a mark that is not visible in it is newer than this materialization
    snapshot           pg_snapshot not null,
    metadata           jsonb,
    materialized_at    timestamptz not null,
    current            boolean not null default true
);

-- None of these columns is ever null, and ids are positive. The conditions keep an index away from statements that do not
-- mention the column: while the table is small or has no statistics, an index that finds all partitions of an asset, or
-- all versions of a partition, looks as good to the planner as the one that finds the one row, and prepared statements
-- keep what they got. A statement that wants the versions in order says `materialization_id > 0`.
create unique index materialization_current on karat.materialization (asset_key, partition_key)
    where current and partition_key is not null;
create index materialization_current_ordinal on karat.materialization (asset_key, ordinal)
    where current and ordinal is not null;
create index materialization_partition on karat.materialization (asset_key, partition_key, materialization_id desc)
    where materialization_id > 0;

-- Records the publication of one partition, in the transaction that published it. False when the step is not held under
-- this lease any more (the fence): the caller must roll back.
--
-- A function with one partition at a time, because each of its statements then finds its row by a unique key whatever the
-- planner knows of the tables, and keeps that plan.
create function karat.publish(
    step_id bigint, lease_epoch bigint, worker_id uuid, range_size integer, asset_key text, partition_key text,
    ordinal bigint, run_id uuid, row_count bigint, data_version text, code_version text, content_changed boolean,
    open boolean, incomplete_inputs jsonb, input_versions jsonb, metadata jsonb, started_at timestamptz, finished_at timestamptz
) returns boolean
    language plpgsql
    as $$
#variable_conflict use_column
begin
    update karat.step s
    set state = 'succeeded', reason = null, finished_at = publish.finished_at
    where s.step_id = publish.step_id and s.lease_epoch = publish.lease_epoch
      -- written so that no index on running steps is taken instead of the primary key
      and not (s.worker_id is distinct from publish.worker_id or s.state is distinct from 'running');
    if not found then
        return false;
    end if;
    update karat.materialization m
    set current = false
    where m.asset_key = publish.asset_key and m.partition_key = publish.partition_key and m.current;
    insert into karat.materialization
        (asset_key, partition_key, ordinal, run_id, step_id, lease_epoch, row_count, data_version, code_version,
         content_changed, open, incomplete_inputs, input_versions, snapshot, metadata, materialized_at)
    values (publish.asset_key, publish.partition_key, publish.ordinal, publish.run_id, publish.step_id,
            publish.lease_epoch, publish.row_count, publish.data_version, publish.code_version, publish.content_changed,
            publish.open, publish.incomplete_inputs, publish.input_versions, pg_current_snapshot(), publish.metadata,
            publish.finished_at);
    insert into karat.attempt (step_id, lease_epoch, worker_id, range_size, started_at, finished_at, outcome)
    values (publish.step_id, publish.lease_epoch, publish.worker_id, publish.range_size, publish.started_at,
            publish.finished_at, 'succeeded');
    return true;
end
$$;

-- The current versions in ranges of partitions: asset, first and last ordinal of each range.
--
-- A function, because the statement in it is planned once: with arrays to join, PostgreSQL would plan anew at each call.
create function karat.current_versions(asset_keys text[], firsts bigint[], lasts bigint[])
    returns setof karat.materialization
    language plpgsql stable rows 1
    as $$
begin
    for i in 1 .. cardinality(asset_keys) loop
        return query
            select * from karat.materialization m
            where m.current and m.asset_key = asset_keys[i] and m.ordinal between firsts[i] and lasts[i];
    end loop;
end
$$;

-- What a check found.
create table karat.check_result (
    check_result_id bigint generated always as identity primary key,
    step_id         bigint not null references karat.step,
    lease_epoch     bigint not null,
    asset_key       text not null,
    partition_key   text not null,
    check_name      text not null,
    blocking        boolean not null,
    passed          boolean not null,
    -- rows that offend, where the rule counts rows
    offending_rows  bigint not null,
    message         text not null,
    checked_at      timestamptz not null
);

create index check_result_step on karat.check_result (step_id);
create index check_result_partition on karat.check_result (asset_key, partition_key, check_result_id desc);

-- Append-only note: rows landed in this partition of this external asset, in this transaction.
create table karat.mark (
    mark_id        bigint generated always as identity primary key,
    asset_key      text not null,
    partition_key  text not null,
    ordinal        bigint not null,
    transaction_id xid8 not null default pg_current_xact_id(),
    row_count      bigint not null,
    writer         text not null,
    marked_at      timestamptz not null
);

create index mark_partition on karat.mark (asset_key, ordinal, transaction_id);

-- What happened to runs and steps, for people. Partitioned by day, so that retention drops tables.
create table karat.event (
    occurred_at timestamptz not null,
    kind        text not null,
    run_id      uuid,
    step_id     bigint,
    detail      jsonb not null
) partition by range (occurred_at);

create index event_run on karat.event (run_id, occurred_at);
create table karat.event_default partition of karat.event default;

-- What an asset said while it was computed.
create table karat.log_line (
    logged_at   timestamptz not null,
    step_id     bigint not null,
    lease_epoch bigint not null,
    sequence    bigint not null,
    level       text not null,
    target      text not null,
    message     text not null,
    fields      jsonb not null
) partition by range (logged_at);

create index log_line_step on karat.log_line (step_id, lease_epoch, sequence);
create table karat.log_line_default partition of karat.log_line default;

-- Makes the day's partitions of the two logs (days in UTC) unless they exist. A day that already has rows in the default
-- partition stays there: the rows are found all the same, only dropping them by table is not possible.
create function karat.ensure_log_partitions(day date) returns void
    language plpgsql
    as $$
declare
    parent text;
    child text;
    time_column text;
    day_start timestamptz := day::timestamp at time zone 'UTC';
    day_end timestamptz := (day + 1)::timestamp at time zone 'UTC';
    occupied boolean;
begin
    foreach parent in array array['event', 'log_line'] loop
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        time_column := case parent when 'event' then 'occurred_at' else 'logged_at' end;
        if to_regclass('karat.' || child) is null then
            execute format('select exists (select from karat.%I where %I >= $1 and %I < $2)',
                           parent || '_default', time_column, time_column)
                into occupied using day_start, day_end;
            if not occupied then
                execute format('create table karat.%I partition of karat.%I for values from (%L) to (%L)',
                               child, parent, day_start, day_end);
            end if;
        end if;
    end loop;
end
$$;
