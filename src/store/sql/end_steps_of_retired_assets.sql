-- $1 the assets that are defined, $2 now
with ended as (
    update karat.step s
    set state = 'blocked',
        reason = format('%s is not defined any more in the program that leads', s.asset_key),
        finished_at = $2
    from karat.run r
    where r.run_id = s.run_id and r.finished_at is null
      and s.state in ('pending', 'ready') and s.asset_key <> all ($1)
    returning s.asset_key, s.run_id, s.step_id, s.partition_key, s.reason
), noted as (
    insert into karat.event (occurred_at, kind, run_id, step_id, detail)
    select $2, 'step_blocked', run_id, step_id,
           jsonb_build_object('asset', asset_key, 'partition', partition_key, 'reason', reason)
    from ended
)
select asset_key, count(*) from ended group by asset_key order by asset_key
