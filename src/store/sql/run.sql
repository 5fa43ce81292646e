-- $1 run
select r.run_id, r.backfill_id, r.retry_of, r.cause, r.cause_detail, r.request, r.force, r.requested_by, r.requested_at, r.paused_at, r.cancel_requested_at,
       r.finished_at, r.outcome, c.*
from karat.run r
cross join lateral (
    select count(*) as total,
           count(*) filter (where state = 'pending') as pending,
           count(*) filter (where state = 'ready') as ready,
           count(*) filter (where state = 'running') as running,
           count(*) filter (where state = 'succeeded') as succeeded,
           count(*) filter (where state = 'skipped') as skipped,
           count(*) filter (where state = 'failed') as failed,
           count(*) filter (where state = 'blocked') as blocked,
           count(*) filter (where state = 'canceled') as canceled
    from karat.step s
    where s.run_id = r.run_id
) c
where r.run_id = $1
