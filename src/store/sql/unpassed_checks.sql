-- $1 assets and $2 their checks, pairwise; $3 how many of the newest failures of each are looked at. The checks that do
-- not keep a version back and whose newest result in some partition is a failure.
select declared.asset_key, declared.check_name, count(*) as partitions,
       (array_agg(unpassed.partition_key order by unpassed.check_result_id desc))[1] as partition_key,
       (array_agg(unpassed.message order by unpassed.check_result_id desc))[1] as message
from unnest($1::text[], $2::text[]) as declared (asset_key, check_name)
cross join lateral (
    select c.check_result_id, c.partition_key, c.message
    from (
        select check_result_id, asset_key, check_name, partition_key, message
        from karat.check_result
        where asset_key = declared.asset_key and check_name = declared.check_name and not passed and not blocking
        order by check_result_id desc
        limit $3
    ) c
    where not exists (
        select from karat.check_result n
        where n.asset_key = c.asset_key and n.partition_key = c.partition_key
          and n.check_result_id > c.check_result_id and n.check_name = c.check_name
    )
) unpassed
group by declared.asset_key, declared.check_name
