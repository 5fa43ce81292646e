-- The steps of the run r by state: as written with its end, or counted, at most $1 of them.
cross join lateral (
    select r.succeeded_steps::bigint + r.skipped_steps + r.failed_steps + r.blocked_steps + r.canceled_steps as total,
           0::bigint as pending, 0::bigint as ready, 0::bigint as running, r.succeeded_steps::bigint as succeeded,
           r.skipped_steps::bigint as skipped, r.failed_steps::bigint as failed, r.blocked_steps::bigint as blocked,
           r.canceled_steps::bigint as canceled, true as all_counted
    where r.succeeded_steps is not null
    union all
    select a.total, pending, ready, running, succeeded, skipped, failed, blocked, canceled, a.total <= counted
    from (
        select count(*) as counted,
               count(*) filter (where state = 'pending') as pending,
               count(*) filter (where state = 'ready') as ready,
               count(*) filter (where state = 'running') as running,
               count(*) filter (where state = 'succeeded') as succeeded,
               count(*) filter (where state = 'skipped') as skipped,
               count(*) filter (where state = 'failed') as failed,
               count(*) filter (where state = 'blocked') as blocked,
               count(*) filter (where state = 'canceled') as canceled
        from (select state from karat.step s where s.run_id = r.run_id and r.succeeded_steps is null limit $1) s
    ) c
    cross join (
        select coalesce(sum(step_count), 0)::bigint as total from karat.run_asset a where a.run_id = r.run_id
    ) a
    where r.succeeded_steps is null
) c
