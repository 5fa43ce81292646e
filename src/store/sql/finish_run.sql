-- $1 run, $2 now
with ended as (
    update karat.run r
    set finished_at = $2,
        finish_number = nextval('karat.run_order'),
        outcome = case
            when exists (select from karat.step s where s.run_id = r.run_id and s.state in ('failed', 'blocked')) then 'failed'
            when exists (select from karat.step s where s.run_id = r.run_id and s.state = 'canceled') then 'canceled'
            else 'succeeded'
        end,
        paused_at = null,
        (succeeded_steps, skipped_steps, failed_steps, blocked_steps, canceled_steps) = (
            select count(*) filter (where state = 'succeeded'), count(*) filter (where state = 'skipped'),
                   count(*) filter (where state = 'failed'), count(*) filter (where state = 'blocked'),
                   count(*) filter (where state = 'canceled')
            from karat.step s
            where s.run_id = r.run_id
        )
    where r.run_id = $1
      and r.finished_at is null
      and not exists (select from karat.step s where s.run_id = r.run_id and s.state in ('pending', 'ready', 'running'))
    returning r.run_id, r.outcome, r.cause
), noted as (
    insert into karat.event (occurred_at, kind, run_id, detail)
    select $2, 'run_finished', run_id, jsonb_build_object('outcome', outcome) from ended
)
select outcome, cause from ended
