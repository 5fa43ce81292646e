-- $1 run; the ordinals of each asset and state, as stretches
select asset_key, state, lower(stretch) as first, upper(stretch) - 1 as last
from (
    select asset_key, state, range_agg(int8range(ordinal, ordinal, '[]')) as stretches
    from karat.step
    where run_id = $1
    group by asset_key, state
) sets
cross join lateral unnest(stretches) as stretch
order by asset_key, first
