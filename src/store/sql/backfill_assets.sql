-- $1 the runs of a backfill
--
-- Each partition counts once, with its newest step; without retries there is only one.
select asset_key, count(*) as total,
       count(*) filter (where state = 'pending') as pending,
       count(*) filter (where state = 'ready') as ready,
       count(*) filter (where state = 'running') as running,
       count(*) filter (where state = 'succeeded') as succeeded,
       count(*) filter (where state = 'skipped') as skipped,
       count(*) filter (where state = 'failed') as failed,
       count(*) filter (where state = 'blocked') as blocked,
       count(*) filter (where state = 'canceled') as canceled
from (
    select s.asset_key, s.state
    from karat.step s
    where cardinality($1::uuid[]) = 1 and s.run_id = $1[1]
    union all
    select newest.asset_key, newest.state
    from (
        select distinct on (s.asset_key, s.partition_key) s.asset_key, s.state
        from karat.step s
        where cardinality($1) > 1 and s.run_id = any($1)
        order by s.asset_key, s.partition_key, s.step_id desc
    ) newest
) steps
group by asset_key
order by asset_key
