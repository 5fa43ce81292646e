-- $1 run, $2 step, $3 attempt and $4 sequence of the last line that is known, $5 asset, $6 partition,
-- $7 levels, $8 text in small letters, $9 limit.
-- By step, so that each part of a long log is found by an index.
with bounds as materialized (
    select requested_at - interval '1 hour' as first_at, coalesce(finished_at, 'infinity') + interval '1 hour' as last_at
    from karat.run
    where run_id = $1
)
select s.asset_key, s.partition_key, l.logged_at, l.run_id, l.step_id, l.lease_epoch, l.sequence, l.level, l.target, l.message, l.fields
from karat.step s
join karat.log_line l using (step_id)
where s.run_id = $1
  and s.step_id >= $2
  and ($5::text is null or s.asset_key = $5)
  and ($6::text is null or s.partition_key = $6)
  and (l.step_id, l.lease_epoch, l.sequence) > ($2, $3, $4)
  and l.logged_at >= (select first_at from bounds)
  and l.logged_at <= (select last_at from bounds)
  and ($7::text[] is null or l.level = any($7))
  and ($8::text is null or strpos(lower(l.message), $8) > 0 or strpos(lower(l.fields::text), $8) > 0)
order by l.step_id, l.lease_epoch, l.sequence
limit $9
