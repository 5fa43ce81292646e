-- Schedules: their switches, how far each has been carried out, and what became of its ticks.

-- A schedule that some program declared.
create table karat.schedule (
    name            text primary key,
    -- as they were when evaluated last; when the declaration says otherwise, nothing up to that moment fires any more
    expression      text not null,
    zone            text not null,
    -- no tick at or before this instant fires; only a resumption may set it back, to the present
    evaluated_until timestamptz not null,
    -- since when it is switched off
    paused_at       timestamptz,
    -- since when it is not declared any more
    retired_at      timestamptz
);

-- What became of a tick, written by the transaction that launched its run. Partitioned by day like the logs.
create table karat.tick (
    schedule    text not null,
    -- the instant of the expression; of a manual one, when it was triggered
    tick_at     timestamptz not null,
    kind        text not null check (kind in ('scheduled', 'manual')),
    -- skipped: it and perhaps others before it were missed and left out
    outcome     text not null check (outcome in ('launched', 'nothing', 'skipped', 'failed')),
    run_id      uuid,
    -- what was left out, or why nothing was launched
    message     text,
    recorded_at timestamptz not null,
    primary key (schedule, tick_at, kind)
) partition by range (tick_at);

create table karat.tick_default partition of karat.tick default;
