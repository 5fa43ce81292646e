-- $1 one backfill or null, $2 before this one, $3 limit
select b.backfill_id, b.created_at, b.request, r.runs, r.paused, r.canceling, r.live, c.*
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
           coalesce(bool_or(finished_at is null), false) as live
    from karat.run
    where run.backfill_id = b.backfill_id
) r
cross join lateral (
    select count(*) as total,
           count(*) filter (where state = 'pending') as pending,
           count(*) filter (where state = 'ready') as ready,
           count(*) filter (where state = 'running') as running,
           count(*) filter (where state = 'succeeded') as succeeded,
           count(*) filter (where state = 'skipped') as skipped,
           count(*) filter (where state = 'failed') as failed,
           count(*) filter (where state = 'blocked') as blocked,
           count(*) filter (where state = 'canceled') as canceled
    from (
        select distinct on (s.asset_key, s.partition_key) s.state
        from karat.step s
        where s.run_id = any(r.runs)
        order by s.asset_key, s.partition_key, s.step_id desc
    ) newest
) c
order by b.backfill_id desc
