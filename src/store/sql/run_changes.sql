-- More of what happened since a snapshot: of runs, and what waits in quarantine. Follows changes.sql.
-- $4 the number of an end of a run
union all
select 'live', '', null, null, null, run_id::text from karat.run where finished_at is null
union all
(select 'finished', finish_number::text, null, null, null, run_id::text
 from karat.run where finish_number > $4 order by finish_number desc limit $3)
union all
select 'newest_end', '', null, null, null, max(finish_number)::text from karat.run having max(finish_number) is not null
union all
select 'quarantined', asset_key, null, null, null, count(*)::text
from karat.quarantine
where released_at is null and discarded_at is null
group by asset_key
