-- $1 now, $2 runs or null for any, $3 asset keys or null for any, $4 limit, $5 pools, $6 their limits
with running as materialized (
    select run_id, pool, count(*) as steps from karat.step where state = 'running' group by run_id, pool
), full_pools as materialized (
    select p.pool
    from unnest($5::text[], $6::bigint[]) as p (pool, most)
    where (select coalesce(sum(steps), 0) from running where running.pool = p.pool) >= p.most
)
select s.step_id, s.run_id, s.asset_key, s.partition_key, s.ordinal, s.pool, s.attempts, s.only_if_stale,
       r.force, r.per_partition, r.concurrency_limit, r.launch_number,
       -- a first claim cannot follow an attempt
       s.lease_epoch > 0 and exists (select from karat.attempt a where a.step_id = s.step_id) as tried
from karat.step s
join karat.run r using (run_id)
where s.state = 'ready'
  and s.ready_at <= $1
  and ($2::uuid[] is null or s.run_id = any($2))
  and ($3::text[] is null or s.asset_key = any($3))
  and r.paused_at is null and r.cancel_requested_at is null and r.finished_at is null
  and (s.pool is null or s.pool not in (select pool from full_pools))
  and (r.concurrency_limit is null
       or (select coalesce(sum(steps), 0) from running where running.run_id = s.run_id) < r.concurrency_limit)
  and not exists (
      select from karat.step other
      where other.state = 'running' and other.asset_key = s.asset_key and other.partition_key = s.partition_key
  )
order by s.priority desc, s.run_id, s.rank, s.ordinal
limit $4
