-- Who watches: alerts and their delivery, and sensors.

-- When rows last landed in an external asset: what its freshness is judged by.
create index mark_newest on karat.mark (asset_key, marked_at desc);

-- Something that wants attention, from when it was noticed until it ended.
create table karat.alert (
    alert_id      bigint generated always as identity primary key,
    kind          text not null
        check (kind in ('run_failed', 'check_failed', 'freshness_failed', 'scheduler_stalled', 'quarantine_grew')),
    -- what it is about; of a kind, at most one alert about it is open
    subject       text not null,
    severity      text not null check (severity in ('warning', 'error')),
    title         text not null,
    -- what is known, in sentences
    explanation   text not null,
    -- the command to look with, without the program's name
    command       text not null,
    -- the first step or check result that it is about; what is asked when looking whether it has ended starts there
    evidence_from bigint,
    opened_at     timestamptz not null,
    last_seen_at  timestamptz not null,
    recovered_at  timestamptz
);

create unique index alert_open on karat.alert (kind, subject) where recovered_at is null;
create index alert_recovered on karat.alert (recovered_at) where recovered_at is not null;

-- What is to be said about an alert on a channel, and whether it was.
create table karat.alert_delivery (
    delivery_id  bigint generated always as identity primary key,
    alert_id     bigint not null references karat.alert on delete cascade,
    channel      text not null,
    event        text not null check (event in ('opened', 'reminded', 'recovered')),
    state        text not null default 'waiting' check (state in ('waiting', 'delivered', 'given_up')),
    tries        integer not null default 0,
    created_at   timestamptz not null,
    -- not before; moved on by whoever sends it, so that nobody else does meanwhile
    next_try_at  timestamptz not null,
    last_error   text,
    delivered_at timestamptz,
    -- whether it said that the alert had ended
    told_end     boolean not null default false,
    -- the message it went out with: when there is much to say, several share one
    message_id   uuid
);

create unique index alert_delivery_once on karat.alert_delivery (alert_id, channel, event) where event <> 'reminded';
create unique index alert_delivery_reminder on karat.alert_delivery (alert_id, channel)
    where event = 'reminded' and state = 'waiting';
create index alert_delivery_alert on karat.alert_delivery (alert_id, channel);
create index alert_delivery_waiting on karat.alert_delivery (channel, next_try_at) where state = 'waiting';
create index alert_delivery_delivered on karat.alert_delivery (channel, delivered_at) where state = 'delivered';

-- Since when it has been looked at whether to raise an alert about the failure. Ids and times are drawn before commit, so
-- a "where I stopped reading" would miss what commits late. What failed before there were alerts raises none.
alter table karat.run add column failure_seen_at timestamptz;
update karat.run set failure_seen_at = finished_at where outcome = 'failed';
create index run_failure_unseen on karat.run (finish_number) where outcome = 'failed' and failure_seen_at is null;

alter table karat.check_result add column failure_seen_at timestamptz;
update karat.check_result set failure_seen_at = checked_at where not passed and not blocking;
create index check_result_failure_unseen on karat.check_result (check_result_id)
    where not passed and not blocking and failure_seen_at is null;

-- What is still wrong, without looking at what went well.
create index step_unbuilt on karat.step (asset_key, step_id) where state in ('failed', 'blocked');
create index check_result_failed on karat.check_result (asset_key, check_name, check_result_id)
    where not passed and not blocking;

-- A sensor's cursor and switch.
create table karat.sensor (
    name         text primary key,
    -- as the function left it
    cursor       text,
    -- when it is evaluated next; a trigger moves it to the present
    due_at       timestamptz not null,
    -- when an evaluation last took effect
    evaluated_at timestamptz,
    -- since when evaluations fail; the waits between them grow with it
    failing_since timestamptz,
    paused_at    timestamptz,
    -- grows with every change: an evaluation takes effect only on the state that it began with
    version      bigint not null default 0
);

-- What evaluations came to. Equal ones without a run that follow each other are one row.
create table karat.sensor_tick (
    sensor   text not null references karat.sensor on delete cascade,
    tick_at  timestamptz not null,
    -- the last of the equal ones
    until_at timestamptz not null,
    outcome  text not null check (outcome in ('requested', 'skipped', 'failed')),
    -- why it was skipped or failed, or how many runs were left out
    message  text,
    run_ids  uuid[] not null,
    primary key (sensor, tick_at)
);

-- The keys of requests: what was requested once is not requested again.
create table karat.sensor_run_key (
    sensor       text not null references karat.sensor on delete cascade,
    run_key      text not null,
    run_id       uuid not null,
    requested_at timestamptz not null,
    primary key (sensor, run_key)
);
