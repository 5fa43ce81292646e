-- $1 how many ready steps are looked at
select pool, asset_key, run_id, count(*) as steps
from (
    select pool, asset_key, run_id
    from karat.step
    where state = 'ready'
    order by priority desc, run_id, rank, ordinal
    limit $1
) ready
where pool is not null
group by pool, asset_key, run_id
order by pool, run_id, asset_key
