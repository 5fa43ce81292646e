-- $1 run, $2 limit, $3 and $4 from when to when anything of it can have happened. Attempts by what was carried out together,
-- and what is being carried out.
select asset_key, min(rank) as rank, min(ordinal) as first, max(ordinal) as last, count(*) as partitions,
       min(attempt) as attempt, started_at, finished_at, outcome
from (
    select s.asset_key, s.rank, s.ordinal, a.worker_id, a.started_at, a.finished_at, a.outcome,
           row_number() over (partition by s.step_id order by a.lease_epoch) as attempt
    from karat.step s
    join karat.attempt a using (step_id)
    -- what was never claimed has no attempt
    where s.run_id = $1 and s.lease_epoch > 0 and a.finished_at >= $3 and a.finished_at <= $4
    union all
    select asset_key, rank, ordinal, worker_id, started_at, null, 'running', attempts + 1
    from karat.step
    where run_id = $1 and state = 'running' and started_at is not null
) attempts
group by asset_key, worker_id, started_at, finished_at, outcome
order by rank, asset_key, first, attempt
limit $2
