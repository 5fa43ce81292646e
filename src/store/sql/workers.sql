-- $1 application name prefix
select w.worker_id, w.host, w.process_id, w.slots, w.started_at, w.heartbeat_at, w.expires_at, w.stopping_at,
       (select count(*) from karat.step s where s.worker_id = w.worker_id and s.state = 'running') as running,
       exists (select from karat.leadership l where l.worker_id = w.worker_id) as leads,
       exists (
           select from pg_stat_activity a
           where a.datname = current_database() and a.application_name = $1 || w.worker_id::text
       ) as connected
from karat.worker w
order by w.started_at, w.worker_id
