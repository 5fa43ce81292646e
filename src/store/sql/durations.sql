-- $1 assets and $2 how many partitions of each are built together at most; $3 how many of each one's newest versions are looked at
--
-- What was built together counts once: its steps begin and end at the same instants.
select a.asset_key, sum(u.partitions + rest.partitions)::bigint as partitions,
       sum(extract(epoch from u.finished_at - u.started_at))::float8 as seconds
from unnest($1::text[], $2::bigint[]) as a (asset_key, together)
cross join lateral (
    select s.run_id, s.started_at, s.finished_at, count(*) as partitions, min(s.ordinal) as first,
           min(min(s.ordinal)) over () as oldest
    from (
        select step_id
        from karat.materialization m
        where m.current and m.ordinal is not null and m.asset_key = a.asset_key
        order by m.ordinal desc
        limit $3
    ) version
    join karat.step s using (step_id)
    where s.state = 'succeeded' and s.started_at is not null and s.finished_at >= s.started_at
    group by s.run_id, s.started_at, s.finished_at
) u
cross join lateral (
    -- The oldest one may have been built with others before it, which were not looked at.
    select count(*) as partitions
    from karat.step b
    where u.first = u.oldest and a.together > 1
      and b.run_id = u.run_id and b.asset_key = a.asset_key and b.ordinal >= u.first - a.together and b.ordinal < u.first
      and b.started_at = u.started_at and b.finished_at = u.finished_at
) rest
group by a.asset_key
