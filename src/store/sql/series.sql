-- $1 asset, $2 and $3 first and last ordinal, $4 how many buckets, $5 figures: `rows`, `seconds`, or the name under which the
-- asset notes a number; $6 how many of the newest versions. These are read once, whatever the number of figures.
with newest as (
    select ordinal, row_count, step_id, metadata
    from karat.materialization
    where asset_key = $1 and current and ordinal between $2 and $3
    order by ordinal desc
    limit $6
), versions as (
    select v.ordinal, v.row_count, v.metadata, extract(epoch from s.finished_at - s.started_at)::double precision as seconds,
           (v.ordinal - min(v.ordinal) over ()) * $4 / (max(v.ordinal) over () - min(v.ordinal) over () + 1) as bucket
    from newest v
    left join karat.step s on s.step_id = v.step_id and 'seconds' = any ($5)
)
select place as figure, min(ordinal) as first, max(ordinal) as last, count(*) as count, min(value) as least,
       avg(value) as average, max(value) as most
from (
    select place, ordinal, bucket,
           case when name = 'rows' then row_count::double precision
                when name = 'seconds' then seconds
                when jsonb_typeof(metadata -> name) = 'number' then (metadata ->> name)::double precision
           end as value
    from versions
    cross join unnest($5::text[]) with ordinality as wanted (name, place)
) figures
where value is not null
group by place, bucket
order by place, first
