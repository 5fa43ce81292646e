-- $1 the asking worker, $2 now, $3 application name prefix, $4 steps the worker knows of, $5 runs or null for any,
-- $6 asset keys or null for any, $7 whether to look for dead workers
--
-- Follows `with dead as (…)` (dead_workers.sql); the server does not evaluate it unless $7 asks for it.
, live as materialized (
    select r.run_id, r.paused_at is null and r.cancel_requested_at is null as going
    from karat.run r
    where r.finished_at is null and ($5::uuid[] is null or r.run_id = any ($5))
)
-- the first that is due ends the search; only where none is, the few that are not are compared
select case when exists (
           select from karat.step s join live using (run_id)
           where s.state = 'ready' and (s.retry_at is null or s.retry_at <= $2 or s.ready_at > $2) and live.going
             and ($6::text[] is null or s.asset_key = any ($6))
       ) then $2::timestamptz
       else (
           select min(s.retry_at) from karat.step s join live using (run_id)
           where s.state = 'ready' and live.going and ($6::text[] is null or s.asset_key = any ($6))
       ) end as claimable_at,
       exists (
           select from karat.step s where s.worker_id = $1 and s.state = 'running' and s.step_id <> all ($4::bigint[])
       ) as unknown,
       case when $7::boolean then exists (select from dead) else false end as dead,
       array(
           select run_id from live
           where exists (select from karat.step s where s.run_id = live.run_id and s.state = 'pending')
              or not exists (
                  select from karat.step s where s.run_id = live.run_id and s.state in ('pending', 'ready', 'running')
              )
           order by run_id
       ) as movable
