-- $1 now, $2 runs or null for any, $3 asset keys or null for any, $4 limit, $5 full pools, $6 full runs
--
-- The ready steps are to be met in the order of their index until there are enough, and each is to be compared with what
-- runs by the key of that. The planner cannot know that this is best while the tables are small or without statistics. So
-- the statement is one table in order, with a question and a lookup for each row (`offset 0` keeps them from being turned
-- into joins), and the claim's transaction does not let it sort. The full pools and runs are plain lists, so that it sees
-- that few steps are left out.
select s.step_id, s.run_id, s.asset_key, s.partition_key, s.ordinal, s.pool, s.attempts, s.only_if_stale,
       r.force, r.per_partition, r.concurrency_limit, r.launch_number,
       s.attempts > 0 or s.losses > 0 as tried
from karat.step s
cross join lateral (
    select * from karat.run
    where run.run_id = s.run_id
      and paused_at is null and cancel_requested_at is null and finished_at is null
    offset 0
) r
where s.state = 'ready'
  -- not before its time, unless it waits since a clock that was ahead
  and (s.retry_at is null or s.retry_at <= $1 or s.ready_at > $1)
  and ($2::uuid[] is null or s.run_id = any($2))
  and ($3::text[] is null or s.asset_key = any($3))
  and (s.pool is null or s.pool <> all ($5::text[]))
  and s.run_id <> all ($6::uuid[])
  and (
      select other.step_id from karat.step other
      where other.state = 'running' and other.asset_key = s.asset_key and other.partition_key = s.partition_key
      offset 0
  ) is null
order by s.priority desc, s.run_id, s.rank, s.ordinal
limit $4
