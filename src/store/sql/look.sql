-- $1 the asking worker, $2 now, $3 application name prefix, $4 steps the worker knows of, $5 runs, $6 asset keys
--
-- Follows `with dead as (…)` (dead_workers.sql). What is not asked is put out of the text (`{runs}`, `{assets}`) rather than
-- asked for by a parameter: the server would see a better plan for each call, and making it costs more than the look.
, live as materialized (
    select r.run_id, r.paused_at is null and r.cancel_requested_at is null as going
    from karat.run r
    where r.finished_at is null {runs}
)
-- the first that is due ends the search; only where none is, the few that are not are compared
select case when exists (
           select from karat.step s join live using (run_id)
           where s.state = 'ready' and (s.retry_at is null or s.retry_at <= $2 or s.ready_at > $2) and live.going
             {assets}
       ) then $2::timestamptz
       else (
           select min(s.retry_at) from karat.step s join live using (run_id)
           where s.state = 'ready' and live.going {assets}
       ) end as claimable_at,
       exists (
           select from karat.step s where s.worker_id = $1 and s.state = 'running' and s.step_id <> all ($4::bigint[])
       ) as unknown,
       exists (select from dead) as dead,
       array(
           select run_id from live
           where exists (select from karat.step s where s.run_id = live.run_id and s.state = 'pending')
              or not exists (
                  select from karat.step s where s.run_id = live.run_id and s.state in ('pending', 'ready', 'running')
              )
           order by run_id
       ) as movable
