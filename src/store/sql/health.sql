-- $1 this process' worker, or null
select
    (select expires_at from karat.worker where worker_id = $1) as lease_ends_at,
    (select max(w.expires_at) from karat.leadership l join karat.worker w using (worker_id)) as leader_lease_ends_at,
    coalesce(
        (select jsonb_agg(jsonb_build_object('name', name, 'succeeded_at', succeeded_at, 'error', error) order by name)
         from karat.reconciler),
        '[]'
    ) as reconcilers
