-- $1 run, $2 limit. What the run published, and what it read for it. Present and replaced versions have an index each.
select s.asset_key, s.partition_key, m.row_count, m.data_version, m.code_version, m.content_changed, m.input_versions, m.current
from (
    -- upstream first, as far as that shows in the first thousand by key
    select asset_key, partition_key, rank, ordinal
    from (
        select asset_key, partition_key, rank, ordinal
        from karat.step
        where run_id = $1 and state = 'succeeded'
        order by asset_key, ordinal
        limit greatest($2, 1000)
    ) first
    order by rank, asset_key, ordinal
    limit $2
) s
cross join lateral (
    select row_count, data_version, code_version, content_changed, input_versions, current
    from karat.materialization
    where asset_key = s.asset_key and partition_key = s.partition_key and current and run_id = $1
    union all
    select row_count, data_version, code_version, content_changed, input_versions, current
    from karat.materialization
    where asset_key = s.asset_key and partition_key = s.partition_key and not current and run_id = $1
) m
order by s.rank, s.asset_key, s.ordinal
