-- $1 now, $2 external assets. One row per figure: what it is, up to two labels, the value. Only what is open or waits is
-- counted, by its indexes: the cost does not grow with history.
select 'live_runs' as figure, cause as first,
       case when cancel_requested_at is not null then 'canceling' when paused_at is not null then 'paused' else 'running' end as second,
       count(*)::double precision as value
from karat.run
where finished_at is null
group by 2, 3
union all
select 'open_steps', asset_key, state, count(*)
from karat.step
where state in ('pending', 'ready', 'running')
group by 2, 3
union all
-- what waits for nothing but a worker: not for a retry's time, nor for somebody who resumes the run
select figure, null, null, value
from (
    select count(*)::double precision as steps, extract(epoch from $1 - min(s.ready_at))::double precision as age
    from karat.step s
    join karat.run r using (run_id)
    where s.state = 'ready' and (s.retry_at is null or s.retry_at <= $1 or s.ready_at > $1)
      and r.paused_at is null and r.cancel_requested_at is null
) queue
cross join lateral (values ('queued_steps', steps), ('oldest_queued', age)) as figures (figure, value)
where value is not null
union all
select 'pool_use', pool, null, count(*)
from karat.step
where state = 'running' and pool is not null
group by 2
union all
select figure, state, null, value
from (
    select case when expires_at <= $1 then 'expired' when stopping_at is not null then 'stopping' else 'live' end as state,
           count(*)::double precision as workers, sum(slots)::double precision as slots
    from karat.worker
    group by 1
) w
cross join lateral (values ('workers', workers), ('slots', slots)) as figures (figure, value)
union all
select 'reconciler_success', name, null, extract(epoch from succeeded_at)
from karat.reconciler
where succeeded_at is not null
union all
select 'alerts', kind, severity, count(*)
from karat.alert
where recovered_at is null
group by 2, 3
union all
select 'quarantined', asset_key, null, count(*)
from karat.quarantine
where released_at is null and discarded_at is null
group by 2
union all
-- what landed since automation last began to look, and brought that to its end
select figure, asset_key, null, value
from unnest($2::text[]) as external (asset_key)
cross join (select least(started_at, succeeded_at) as looked_at from karat.reconciler where name = 'automation') automation
cross join lateral (
    select coalesce(sum(m.row_count), 0)::double precision as landed,
           extract(epoch from $1 - min(m.marked_at))::double precision as age
    from karat.mark m
    where m.asset_key = external.asset_key and m.marked_at > automation.looked_at
) waiting
cross join lateral (values ('waiting_rows', landed), ('mark_lag', coalesce(age, 0))) as figures (figure, value)
where looked_at is not null
union all
-- the day of the oldest partition by its name, as `ensure_log_partitions` gives it
select 'oldest_log', parent.relname, null,
       extract(epoch from min(to_date(right(child.relname, 8), 'YYYYMMDD'))::timestamp at time zone 'UTC')
from pg_inherits
join pg_class child on child.oid = inhrelid
join pg_class parent on parent.oid = inhparent
where parent.oid in ('karat.event'::regclass, 'karat.log_line'::regclass) and child.relname ~ '_[0-9]{8}$'
group by 2
