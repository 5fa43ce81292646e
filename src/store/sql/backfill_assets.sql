-- $1 the runs of a backfill
--
-- Each partition counts once, with its newest step; without retries there is only one. A single run that has ended and
-- neither skipped nor canceled anything built what it did not fail at: only that is counted, by an index, as long as all
-- of it is kept.
with plain as (
    select run_id from karat.run r
    where cardinality($1::uuid[]) = 1 and run_id = $1[1] and finished_at is not null and skipped_steps = 0 and canceled_steps = 0
      and failed_steps + blocked_steps = (
          select count(*) from karat.step s where s.run_id = r.run_id and s.state in ('failed', 'blocked'))
)
select a.asset_key, a.step_count::bigint as total, 0::bigint as pending, 0::bigint as ready, 0::bigint as running,
       a.step_count - u.failed - u.blocked as succeeded, 0::bigint as skipped, u.failed, u.blocked, 0::bigint as canceled
from plain
join karat.run_asset a using (run_id)
cross join lateral (
    select count(*) filter (where s.state = 'failed') as failed, count(*) filter (where s.state = 'blocked') as blocked
    from karat.step s
    where s.run_id = a.run_id and s.asset_key = a.asset_key and s.state in ('failed', 'blocked')
) u
union all
select asset_key, count(*) as total,
       count(*) filter (where state = 'pending') as pending,
       count(*) filter (where state = 'ready') as ready,
       count(*) filter (where state = 'running') as running,
       count(*) filter (where state = 'succeeded') as succeeded,
       count(*) filter (where state = 'skipped') as skipped,
       count(*) filter (where state = 'failed') as failed,
       count(*) filter (where state = 'blocked') as blocked,
       count(*) filter (where state = 'canceled') as canceled
from (
    select s.asset_key, s.state
    from karat.step s
    where cardinality($1) = 1 and s.run_id = $1[1] and not exists (select from plain)
    union all
    select newest.asset_key, newest.state
    from (
        select distinct on (s.asset_key, s.partition_key) s.asset_key, s.state
        from karat.step s
        where cardinality($1) > 1 and s.run_id = any($1)
        order by s.asset_key, s.partition_key, s.step_id desc
    ) newest
) steps
group by asset_key
order by asset_key
