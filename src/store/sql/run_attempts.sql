-- $1 run, $2 limit. Attempts by what was carried out together, and what is being carried out. Attempts end with their run at
-- the latest, give or take what the clocks of two machines differ by: other days are not looked at.
select asset_key, min(rank) as rank, min(ordinal) as first, max(ordinal) as last, count(*) as partitions,
       min(attempt) as attempt, started_at, finished_at, outcome
from (
    select s.asset_key, s.rank, s.ordinal, a.worker_id, a.started_at, a.finished_at, a.outcome,
           row_number() over (partition by s.step_id order by a.lease_epoch) as attempt
    from karat.step s
    join karat.attempt a using (step_id)
    where s.run_id = $1
      and a.finished_at >= (select requested_at from karat.run where run_id = $1)
      and a.finished_at <= (select coalesce(finished_at, 'infinity') + interval '1 day' from karat.run where run_id = $1)
    union all
    select asset_key, rank, ordinal, worker_id, started_at, null, 'running', attempts + 1
    from karat.step
    where run_id = $1 and state = 'running' and started_at is not null
) attempts
group by asset_key, worker_id, started_at, finished_at, outcome
order by rank, asset_key, first, attempt
limit $2
