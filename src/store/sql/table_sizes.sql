-- $1 the tables of assets, as schema.table
--
-- The days of a table that is divided by days count with it.
select 'karat.' || coalesce(parent.relname, c.relname) as name, true as own,
       sum(pg_total_relation_size(c.oid))::bigint as bytes,
       sum(greatest(c.reltuples, 0))::bigint as rows,
       count(*) filter (where parent.oid is not null) as parts
from pg_class c
left join pg_inherits i on i.inhrelid = c.oid
left join pg_class parent on parent.oid = i.inhparent
where c.relnamespace = 'karat'::regnamespace and c.relkind = 'r'
group by 1
union all
select t.name, false, pg_total_relation_size(t.oid)::bigint, greatest(c.reltuples, 0)::bigint, 0
from (select name, to_regclass(name) as oid from unnest($1::text[]) as name) t
join pg_class c on c.oid = t.oid
order by bytes desc, name
