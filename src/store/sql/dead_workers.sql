-- $1 the asking worker (never dead to itself), $2 now, $3 application name prefix
select w.worker_id
from karat.worker w
where w.worker_id is distinct from $1
  and (
      w.expires_at < $2
      -- One that builds a partition goes by a longer name: the server may be at a statement for long after the process
      -- that sent it died. Those that wait, the heartbeat's among them, end with the process.
      or not exists (
          select from pg_stat_activity a
          where a.datname = current_database() and a.application_name = $3 || w.worker_id::text
      )
  )
union
-- steps that point at a worker whose row is gone
select distinct s.worker_id
from karat.step s
where s.state = 'running'
  and s.worker_id is distinct from $1
  and not exists (select from karat.worker w where w.worker_id = s.worker_id)
