-- $1 step, $2 now, $3 how many steps before it are counted at most
select r.paused_at, r.cancel_requested_at, r.concurrency_limit,
       (select count(*) from karat.step o where o.run_id = s.run_id and o.state = 'running') as running_in_run,
       (select count(*) from karat.worker where expires_at > $2 and stopping_at is null) as workers,
       (select coalesce(sum(slots), 0) from karat.worker where expires_at > $2 and stopping_at is null) as slots,
       (select count(*)
        from (select
              from karat.step o
              join karat.run q using (run_id)
              where o.state = 'ready' and (o.retry_at is null or o.retry_at <= $2 or o.ready_at > $2)
                and q.paused_at is null and q.cancel_requested_at is null
                and (-o.priority, o.run_id, o.rank, o.ordinal) < (-s.priority, s.run_id, s.rank, s.ordinal)
              limit $3) q) as before
from karat.step s
join karat.run r using (run_id)
where s.step_id = $1
