-- $1 the asking worker, $2 now, $3 application name prefix, $4 what is led
--
-- Follows `with dead as (…)` (dead_workers.sql). Who asks again while it leads begins a new epoch.
insert into karat.leadership as l (name, worker_id, epoch, since)
select $4, $1, 1, $2
where exists (select from karat.worker w where w.worker_id = $1)
on conflict (name) do update
set worker_id = excluded.worker_id, epoch = l.epoch + 1, since = excluded.since
where l.worker_id = excluded.worker_id
   or l.worker_id in (select worker_id from dead)
   or not exists (select from karat.worker w where w.worker_id = l.worker_id)
returning epoch
