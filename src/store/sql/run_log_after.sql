-- $1 run, $2 time, $3 step, $4 attempt and $5 sequence of the last line that is known, $6 asset, $7 partition, $8 levels,
-- $9 text in small letters, $10 limit, $11 until when lines can have been said. As `run_log_tail`, forwards.
select s.asset_key, s.partition_key, l.logged_at, l.run_id, l.step_id, l.lease_epoch, l.sequence, l.level, l.target, l.message, l.fields
from karat.log_line l
join karat.step s using (step_id)
where l.run_id = $1
  and l.logged_at >= $2 and l.logged_at <= $11
  and (l.logged_at, l.step_id, l.lease_epoch, l.sequence) > ($2, $3, $4, $5)
  and ($6::text is null or s.asset_key = $6)
  and ($7::text is null or s.partition_key = $7)
  and ($8::text[] is null or l.level = any($8))
  and ($9::text is null or strpos(lower(l.message), $9) > 0 or strpos(lower(l.fields::text), $9) > 0)
order by l.logged_at, l.step_id, l.lease_epoch, l.sequence
limit $10
