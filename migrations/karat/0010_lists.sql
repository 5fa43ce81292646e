-- What pages list is found by an index, whatever the filter and however long the history.

-- Which runs ended since one looked last.
create index run_finished on karat.run (finish_number) where finish_number is not null;

-- Runs, newest first: all of them, and those of a cause and outcome. Of several causes or outcomes the newest of each are
-- taken together, so that one index serves every choice.
create index run_requested on karat.run (requested_at desc, run_id desc);
create index run_kind on karat.run (cause, coalesce(outcome, 'live'), requested_at desc, run_id desc);
drop index karat.run_requested_by;
create index run_requested_by on karat.run (requested_by, requested_at desc, run_id desc) where requested_by is not null;
-- What ended in a stretch of time, and how: answered from the index alone.
create index run_ended on karat.run (finished_at) include (cause, outcome) where finished_at is not null;

-- How the steps of a run ended, written with its end and true from then on: a list of runs does not count the steps of
-- each, and the steps may go before their run.
alter table karat.run
    add column succeeded_steps integer,
    add column skipped_steps   integer,
    add column failed_steps    integer,
    add column blocked_steps   integer,
    add column canceled_steps  integer;

update karat.run r
set (succeeded_steps, skipped_steps, failed_steps, blocked_steps, canceled_steps) = (
    select count(*) filter (where state = 'succeeded'), count(*) filter (where state = 'skipped'),
           count(*) filter (where state = 'failed'), count(*) filter (where state = 'blocked'),
           count(*) filter (where state = 'canceled')
    from karat.step s where s.run_id = r.run_id
)
where finished_at is not null;

-- Which assets a run builds, and how many partitions of each: written with the run, never changed.
create table karat.run_asset (
    run_id       uuid not null references karat.run on delete cascade,
    asset_key    text not null,
    -- that of the run, so that the newest runs of an asset are found at once
    requested_at timestamptz not null,
    step_count   integer not null,
    primary key (run_id, asset_key)
);

create index run_asset_newest on karat.run_asset (asset_key, requested_at desc, run_id desc);

insert into karat.run_asset (run_id, asset_key, requested_at, step_count)
select s.run_id, s.asset_key, r.requested_at, count(*)
from karat.step s join karat.run r using (run_id)
group by s.run_id, s.asset_key, r.requested_at;

-- The open and unbuilt steps of a run by state, in the order in which they are listed.
drop index karat.step_open;
create index step_open on karat.step (run_id, state, asset_key, ordinal)
    where state in ('pending', 'ready', 'running', 'failed', 'blocked');

-- Check results of an asset, newest first: all, and those that failed.
create index check_result_asset on karat.check_result (asset_key, check_result_id desc);
create index check_result_bad on karat.check_result (asset_key, check_result_id desc) where not passed;

-- The log of a run in order of time, whatever the number of its steps.
alter table karat.log_line add column run_id uuid;

update karat.log_line l set run_id = s.run_id from karat.step s where s.step_id = l.step_id;

create index log_line_run on karat.log_line (run_id, logged_at, step_id, lease_epoch, sequence);
-- What went wrong in it, which is looked for most.
create index log_line_notable on karat.log_line (run_id, logged_at, step_id, lease_epoch, sequence)
    where level in ('error', 'warn');
