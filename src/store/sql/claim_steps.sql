-- $1 steps, $2 worker, $3 now, $4 their runs
--
-- What somebody else holds locked, a run that is being steered or a step that is being ended, is left out rather than
-- waited for: it is met again when that has committed.
with live as materialized (
    -- the share lock makes a pause or a cancellation either visible here or later than this claim
    select r.run_id
    from karat.run r
    where r.run_id = any($4)
      and r.paused_at is null and r.cancel_requested_at is null and r.finished_at is null
    order by r.run_id
    for share skip locked
), free as materialized (
    select s.step_id
    from karat.step s
    where s.step_id = any($1)
      -- written so that no index is taken instead of the primary key
      and not (s.state is distinct from 'ready')
      and s.run_id = any(array(select live.run_id from live))
    for no key update skip locked
)
update karat.step s
set state = 'running',
    worker_id = $2,
    lease_epoch = s.lease_epoch + 1,
    attempts = s.attempts + 1,
    started_at = $3,
    reason = null,
    retry_at = null
where s.step_id = any(array(select free.step_id from free))
returning s.step_id, s.lease_epoch, s.attempts
