-- $1 worker, $2 steps it knows of, $3 now
with unknown as materialized (
    -- the share lock makes a cancellation either visible here or later than this, so that it finds the step waiting
    select s.step_id, r.cancel_requested_at is not null as canceling
    from karat.step s
    join karat.run r using (run_id)
    where s.worker_id = $1 and s.state = 'running' and s.step_id <> all ($2)
    for share of r
)
update karat.step s
set state = case when u.canceling then 'canceled' else 'ready' end,
    reason = case when u.canceling then 'the run was canceled' end,
    lease_epoch = s.lease_epoch + 1,
    attempts = greatest(s.attempts - 1, 0),
    ready_at = $3,
    finished_at = case when u.canceling then $3::timestamptz end
from unknown u
where s.step_id = u.step_id and s.worker_id = $1 and s.state = 'running'
