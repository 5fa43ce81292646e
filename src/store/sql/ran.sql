-- $1 since, $2 the most that are counted. Runs that ended since then by outcome, and those that are live.
select state, count(*) as runs
from (
    (select outcome as state from karat.run where finished_at >= $1 order by finished_at desc limit $2)
    union all
    select 'live' from karat.run where finished_at is null
) runs
group by state
