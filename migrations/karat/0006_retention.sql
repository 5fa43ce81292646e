-- What is kept for people goes by the day: dropping a table costs nothing, deleting its rows would.

-- Attempts lie in days like events and log lines. What claiming needs to know of them is in the step's own row, so that
-- nothing but people looks into the days.
alter table karat.step add column losses integer not null default 0;
comment on column karat.step.losses is 'how often the process that ran it died';

update karat.step s
set losses = lost.times
from (select step_id, count(*) as times from karat.attempt where outcome = 'lost' group by step_id) lost
where s.step_id = lost.step_id;

alter table karat.attempt rename to attempt_undivided;

-- One try of a step, written when it ends. That there is one for each lease is the fence's doing: the index only finds it.
create table karat.attempt (
    step_id     bigint not null,
    lease_epoch bigint not null,
    worker_id   uuid not null,
    -- how many steps were carried out together by the same transaction
    range_size  integer not null default 1,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    outcome     text not null check (outcome in ('succeeded', 'skipped', 'failed', 'canceled', 'lost')),
    error_kind  text,
    error       text,
    backtrace   text
) partition by range (finished_at);

create index attempt_step on karat.attempt (step_id, lease_epoch);
create table karat.attempt_default partition of karat.attempt default;

insert into karat.attempt
    (step_id, lease_epoch, worker_id, range_size, started_at, finished_at, outcome, error_kind, error, backtrace)
select step_id, lease_epoch, worker_id, range_size, started_at, finished_at, outcome, error_kind, error, backtrace
from karat.attempt_undivided;

drop table karat.attempt_undivided;

-- A retry outlives the run it repeats.
alter table karat.run drop constraint run_retry_of_fkey;

-- Makes the day's partitions (days in UTC) of every table of the schema that is partitioned by time, unless they exist. A
-- day that already has rows in the default partition stays there: the rows are found all the same, only dropping them by
-- table is not possible.
create or replace function karat.ensure_log_partitions(day date) returns void
    language plpgsql
    as $$
declare
    log record;
    child text;
    day_start timestamptz := day::timestamp at time zone 'UTC';
    day_end timestamptz := (day + 1)::timestamp at time zone 'UTC';
    occupied boolean;
begin
    for log in
        select parent.relname as name, time.attname as time_column, p.partdefid::regclass as rest
        from pg_partitioned_table p
        join pg_class parent on parent.oid = p.partrelid
        join pg_attribute time on time.attrelid = p.partrelid and time.attnum = p.partattrs[0]
        where parent.relnamespace = 'karat'::regnamespace and p.partstrat = 'r' and p.partdefid <> 0
        order by parent.relname
    loop
        child := log.name || '_' || to_char(day, 'YYYYMMDD');
        if to_regclass('karat.' || child) is null then
            execute format('select exists (select from %s where %I >= $1 and %I < $2)',
                           log.rest, log.time_column, log.time_column)
                into occupied using day_start, day_end;
            if not occupied then
                execute format('create table karat.%I partition of karat.%I for values from (%L) to (%L)',
                               child, log.name, day_start, day_end);
            end if;
        end if;
    end loop;
end
$$;

-- Whether a run has steps in one of these states is asked all the time: found at once, however many it has in others.
drop index karat.step_open;
create index step_open on karat.step (run_id, state) where state in ('pending', 'ready', 'running');

-- Every index is written with each publication: the versions of a partition that were replaced need not share one with the
-- present version, which has its own.
drop index karat.materialization_partition;
create index materialization_replaced on karat.materialization (asset_key, partition_key, materialization_id desc)
    where not current;
