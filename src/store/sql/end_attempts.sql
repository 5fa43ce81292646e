-- $1 steps, $2 epochs, $3 worker, $4 state, $5 outcome or null when untried, $6 reason, $7 not to be tried before, $8 started at,
-- $9 finished at, $10 error kind, $11 error, $12 backtrace, $13 how many losses make a step fail
with runs as materialized (
    -- a step that goes back to waiting: the share lock makes a cancellation of its run either visible here or later than
    -- this, so that it finds the step waiting
    select r.run_id, r.cancel_requested_at is not null as canceling
    from karat.run r
    where $4 = 'ready' and r.run_id in (select s.run_id from karat.step s where s.step_id = any($1))
    order by r.run_id
    for share
), ended as materialized (
    select e.step_id, e.lease_epoch,
           case
               when $5 = 'lost' and s.losses + 1 >= $13 then 'failed'
               when runs.canceling then 'canceled'
               else $4
           end as state
    from unnest($1::bigint[], $2::bigint[]) as e (step_id, lease_epoch)
    join karat.step s using (step_id)
    left join runs using (run_id)
), fenced as (
    update karat.step s
    set state = e.state,
        reason = case when e.state = 'canceled' then 'the run was canceled' else $6 end,
        ready_at = case when e.state = 'ready' then $9::timestamptz else s.ready_at end,
        retry_at = case when e.state = 'ready' then $7::timestamptz end,
        -- a loss says nothing about the asset, and a step handed back was not tried
        attempts = case when $5::text is null or $5 = 'lost' then greatest(s.attempts - 1, 0) else s.attempts end,
        losses = case when $5 = 'lost' then s.losses + 1 else s.losses end,
        finished_at = case when e.state = 'ready' then null else $9::timestamptz end
    from ended e
    where s.step_id = e.step_id and s.lease_epoch = e.lease_epoch and s.worker_id = $3 and s.state = 'running'
    returning s.step_id, s.lease_epoch, s.run_id, s.asset_key, s.partition_key, s.state
), tried as (
    insert into karat.attempt
        (step_id, lease_epoch, worker_id, range_size, started_at, finished_at, outcome, error_kind, error, backtrace)
    select f.step_id, f.lease_epoch, $3, cardinality($1), $8, $9, $5, nullif($10, ''), nullif($11, ''), $12
    from fenced f
    where $5::text is not null
), noted as (
    insert into karat.event (occurred_at, kind, run_id, step_id, detail)
    select $9, 'step_' || f.state, f.run_id, f.step_id,
           jsonb_build_object('asset', f.asset_key, 'partition', f.partition_key, 'reason', $6::text)
    from fenced f
    where f.state in ('failed', 'blocked')
)
select count(*) from fenced
