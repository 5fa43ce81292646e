-- $1 dead workers, $2 now, $3 how many losses make a step fail
with held as (
    -- a step whose row is locked is being finished right now: leave it to the next call
    select s.step_id, s.lease_epoch, s.worker_id, s.started_at,
           r.cancel_requested_at is not null as canceling,
           s.losses + 1 as losses
    from karat.step s
    join karat.run r using (run_id)
    where s.state = 'running' and s.worker_id = any($1)
    for update of s skip locked
    -- a cancellation is either visible here or later than this, so that it finds the step waiting
    for share of r
), tried as (
    insert into karat.attempt (step_id, lease_epoch, worker_id, started_at, finished_at, outcome, error_kind, error)
    select step_id, lease_epoch, worker_id, coalesce(started_at, $2), $2, 'lost', 'lost',
           'the process that ran this attempt died or lost its lease; nothing of the attempt was published'
    from held
    returning step_id
), noted as (
    insert into karat.event (occurred_at, kind, run_id, step_id, detail)
    select $2, 'step_lost', s.run_id, s.step_id,
           jsonb_build_object('asset', s.asset_key, 'partition', s.partition_key, 'worker', h.worker_id)
    from held h join karat.step s using (step_id)
)
update karat.step s
set state = case when h.canceling then 'canceled' when h.losses >= $3 then 'failed' else 'ready' end,
    reason = case
        when h.canceling then 'the run was canceled'
        when h.losses >= $3 then format('the process running it died %s times: it may be what kills the process', h.losses)
        else 'taken back from a process that died'
    end,
    lease_epoch = s.lease_epoch + 1,
    -- a loss says nothing about the asset: it does not count against the retry policy
    attempts = greatest(s.attempts - 1, 0),
    losses = h.losses,
    ready_at = $2,
    finished_at = case when h.canceling or h.losses >= $3 then $2::timestamptz end
from held h
where s.step_id = h.step_id
returning s.step_id, s.run_id, s.asset_key, s.partition_key, s.state
