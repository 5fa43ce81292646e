-- $1 the asking worker (never dead to itself), $2 now, $3 application name prefix
select w.worker_id
from karat.worker w
where w.worker_id is distinct from $1
  and (
      w.expires_at < $2
      or not exists (
          select from pg_stat_activity a
          where a.datname = current_database() and starts_with(a.application_name, $3 || w.worker_id::text)
      )
  )
union
-- steps that point at a worker whose row is gone
select distinct s.worker_id
from karat.step s
where s.state = 'running'
  and s.worker_id is distinct from $1
  and not exists (select from karat.worker w where w.worker_id = s.worker_id)
