-- $1 since, $2 the most that are counted. Runs that ended since then by outcome, and those that are live.
select state, count(*) as runs
from (
    select outcome as state
    from (select outcome, finished_at from karat.run where finish_number is not null order by finish_number desc limit $2) newest
    where finished_at >= $1
    union all
    select 'live' from karat.run where finished_at is null
) runs
group by state
