-- $1 now, $2 runs or null for any, $3 asset keys or null for any, $4 limit
select s.step_id, s.run_id, s.asset_key, s.partition_key, s.ordinal, s.pool, s.attempts, s.lease_epoch, s.only_if_stale,
       r.force, r.per_partition, r.concurrency_limit, r.launch_number
from karat.step s
join karat.run r using (run_id)
where s.state = 'ready'
  and s.ready_at <= $1
  and ($2::uuid[] is null or s.run_id = any($2))
  and ($3::text[] is null or s.asset_key = any($3))
  and r.paused_at is null and r.cancel_requested_at is null and r.finished_at is null
  and not exists (
      select from karat.step other
      where other.state = 'running' and other.asset_key = s.asset_key and other.partition_key = s.partition_key
  )
order by s.priority desc, s.run_id, s.rank, s.ordinal
limit $4
