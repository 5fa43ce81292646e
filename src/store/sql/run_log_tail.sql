-- $1 run, $2 asset, $3 partition, $4 levels, $5 text in small letters, $6 how many of the last. A line is not much older than
-- its run nor much younger than its end, whatever the clocks of the workers: other days are not looked at.
with bounds as materialized (
    select requested_at - interval '1 hour' as first_at, coalesce(finished_at, 'infinity') + interval '1 hour' as last_at
    from karat.run
    where run_id = $1
)
select s.asset_key, s.partition_key, l.logged_at, l.run_id, l.step_id, l.lease_epoch, l.sequence, l.level, l.target, l.message, l.fields
from karat.log_line l
join karat.step s using (step_id)
where l.run_id = $1
  and l.logged_at >= (select first_at from bounds)
  and l.logged_at <= (select last_at from bounds)
  and ($2::text is null or s.asset_key = $2)
  and ($3::text is null or s.partition_key = $3)
  and ($4::text[] is null or l.level = any($4))
  and ($5::text is null or strpos(lower(l.message), $5) > 0 or strpos(lower(l.fields::text), $5) > 0)
order by l.logged_at desc, l.step_id desc, l.lease_epoch desc, l.sequence desc
limit $6
