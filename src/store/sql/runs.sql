-- $1 live only, $2 outcome, $3 cause, $4 backfill, $5 asset, $6 before this run, $7 limit, $8 who asked for it
select r.run_id, r.backfill_id, r.retry_of, r.cause, r.cause_detail, r.request, r.force, r.requested_by, r.requested_at, r.paused_at, r.cancel_requested_at,
       r.finished_at, r.outcome, c.*
from (
    select *
    from karat.run
    where (not $1 or finished_at is null)
      and ($2::text is null or outcome = $2)
      and ($3::text is null or cause = $3)
      and ($4::uuid is null or backfill_id = $4)
      and ($5::text is null or exists (select from karat.step s where s.run_id = run.run_id and s.asset_key = $5))
      and ($8::text is null or requested_by = $8)
      and ($6::uuid is null or run_id < $6)
    order by run_id desc
    limit $7
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
    from karat.step s
    where s.run_id = r.run_id
) c
order by r.run_id desc
