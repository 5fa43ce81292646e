-- $1 one backfill or null, $2 before this one, $3 limit, $4 the most steps that are counted of one with retries
select b.backfill_id, b.created_at, b.request, r.runs, r.paused, r.canceling, r.live, r.newest_outcome, c.*
from (
    select *
    from karat.backfill
    where ($1::uuid is null or backfill_id = $1) and ($2::uuid is null or backfill_id < $2)
    order by backfill_id desc
    limit $3
) b
cross join lateral (
    select coalesce(array_agg(run_id order by run_id), '{}') as runs,
           coalesce(bool_or(finished_at is null and paused_at is not null), false) as paused,
           coalesce(bool_or(finished_at is null and cancel_requested_at is not null), false) as canceling,
           coalesce(bool_or(finished_at is null), false) as live,
           (array_agg(outcome order by run_id desc))[1] as newest_outcome,
           -- one run that has ended says how its steps ended
           case when count(*) = 1 then bool_and(succeeded_steps is not null) else false end as is_known,
           (select coalesce(sum(a.step_count), 0) from karat.run_asset a
            where a.run_id in (select q.run_id from karat.run q where q.backfill_id = b.backfill_id)) as planned,
           max(succeeded_steps) as succeeded, max(skipped_steps) as skipped, max(failed_steps) as failed,
           max(blocked_steps) as blocked, max(canceled_steps) as canceled
    from karat.run
    where run.backfill_id = b.backfill_id
) r
cross join lateral (
    select r.succeeded::bigint + r.skipped + r.failed + r.blocked + r.canceled as total, 0::bigint as pending,
           0::bigint as ready, 0::bigint as running, r.succeeded::bigint as succeeded, r.skipped::bigint as skipped,
           r.failed::bigint as failed, r.blocked::bigint as blocked, r.canceled::bigint as canceled, true as all_counted
    where r.is_known
    union all
    select r.planned::bigint, 0, 0, 0, 0, 0, 0, 0, 0, false
    where not r.is_known and r.planned > $4
    union all
    select count(*) as total,
           count(*) filter (where state = 'pending') as pending,
           count(*) filter (where state = 'ready') as ready,
           count(*) filter (where state = 'running') as running,
           count(*) filter (where state = 'succeeded') as succeeded,
           count(*) filter (where state = 'skipped') as skipped,
           count(*) filter (where state = 'failed') as failed,
           count(*) filter (where state = 'blocked') as blocked,
           count(*) filter (where state = 'canceled') as canceled,
           true
    from (
        select distinct on (s.asset_key, s.partition_key) s.state
        from karat.step s
        where not r.is_known and r.planned <= $4 and s.run_id = any(r.runs)
        order by s.asset_key, s.partition_key, s.step_id desc
    ) newest
    having not r.is_known and r.planned <= $4
) c
order by b.backfill_id desc
