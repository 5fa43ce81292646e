-- $1 run, $2 asset, $3 partition, $4 levels, $5 text in small letters, $6 how many of the last, $7 how many are looked
-- through, $8 and $9 from when to when lines can have been said. Follows `with lines as (…)`, which names the lines by one index or another, the last first.
select s.asset_key, s.partition_key, l.logged_at, l.run_id, l.step_id, l.lease_epoch, l.sequence, l.level, l.target, l.message,
       l.fields
from lines l
join karat.step s on s.step_id = l.step_id
where ($2::text is null or s.asset_key = $2)
  and ($3::text is null or s.partition_key = $3)
  and ($4::text[] is null or l.level = any($4))
  and ($5::text is null or strpos(lower(l.message), $5) > 0 or strpos(lower(l.fields::text), $5) > 0)
order by l.logged_at desc, l.step_id desc, l.lease_epoch desc, l.sequence desc
limit $6
