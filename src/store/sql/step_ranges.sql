-- $1 run; gaps and islands over the ordinals of each asset and state
select asset_key, state, min(ordinal) as first, max(ordinal) as last
from (
    select asset_key, state, ordinal,
           ordinal - row_number() over (partition by asset_key, state order by ordinal) as island
    from karat.step
    where run_id = $1
) steps
group by asset_key, state, island
order by asset_key, first
