-- $1 assets, $2 how many of each one's newest versions are looked at
--
-- What was built together counts once: its steps begin and end at the same instants.
select a.asset_key, sum(u.partitions)::bigint as partitions,
       sum(extract(epoch from u.finished_at - u.started_at))::float8 as seconds
from unnest($1::text[], $2::bigint[]) as a (asset_key, newest)
cross join lateral (
    select s.run_id, s.started_at, s.finished_at, count(*) as partitions
    from (
        select step_id
        from karat.materialization m
        where m.current and m.ordinal is not null and m.asset_key = a.asset_key
        order by m.ordinal desc
        limit a.newest
    ) version
    join karat.step s using (step_id)
    where s.state = 'succeeded' and s.started_at is not null and s.finished_at >= s.started_at
    group by s.run_id, s.started_at, s.finished_at
) u
group by a.asset_key
