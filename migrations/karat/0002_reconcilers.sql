-- What processes that run by themselves need: who leads, when each reconciler last ran, and why a run exists.

-- History may go before what it explains: a version outlives the run that made it, and nothing looks up to see whether
-- the row it names is still there.
alter table karat.attempt drop constraint attempt_step_id_fkey;
alter table karat.check_result drop constraint check_result_step_id_fkey;
alter table karat.materialization
    drop constraint materialization_run_id_fkey,
    drop constraint materialization_step_id_fkey;

-- The transaction that published: "what was published since this snapshot" is a comparison of transaction ids with the
-- snapshot, as for marks. Ids of materializations are drawn before commit, and times come from many clocks.
alter table karat.materialization add column transaction_id xid8 not null default pg_current_xact_id();
create index materialization_transaction on karat.materialization (transaction_id);

-- Why the run exists, in data: the tick, the sensor's key, the late rows. What was asked for is in `request`.
alter table karat.run add column cause_detail jsonb;

alter table karat.worker
    -- how many units it carries out at once; 0 for a process that only reconciles
    add column slots integer not null default 0,
    -- since when it claims nothing more because it is asked to end
    add column stopping_at timestamptz;

-- Whose reconcilers run. The lease is the worker's own: who leads has lost it when its worker is dead.
create table karat.leadership (
    name      text primary key,
    worker_id uuid not null,
    -- grows with every change of hands
    epoch     bigint not null,
    since     timestamptz not null
);

-- The last activation of each reconciler.
create table karat.reconciler (
    name         text primary key,
    worker_id    uuid not null,
    started_at   timestamptz not null,
    -- null while it is under way
    finished_at  timestamptz,
    succeeded_at timestamptz,
    error        text,
    -- what it did, in words; null when there was nothing to do
    report       text
);
