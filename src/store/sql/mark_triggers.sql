-- The tables of the assets $1 with all their parts, and all triggers of Karat wherever they are.
with relations as (
    select w.asset_key, c.oid, c.oid = to_regclass(w.asset_key) as is_root
    from unnest($1::text[]) as w (asset_key)
    join lateral (
        select relid from pg_partition_tree(to_regclass(w.asset_key))
        union
        select to_regclass(w.asset_key)
    ) tree on true
    join pg_class c on c.oid = tree.relid and c.relkind in ('r', 'p')
), triggers as (
    -- a row trigger that a part has from its parent is the parent's
    select tgrelid, tgname::text as trigger, tgargs as arguments, tgenabled <> 'D' as is_enabled
    from pg_trigger
    where tgparentid = 0
      and tgfoid in (to_regprocedure('karat.mark_rows()'), to_regprocedure('karat.quarantine_late_row()'))
)
select r.asset_key, format('%I.%I', n.nspname, c.relname) as relation, coalesce(r.is_root, false) as is_root,
       t.trigger, t.arguments, coalesce(t.is_enabled, false) as is_enabled
from relations r
full join triggers t on t.tgrelid = r.oid
join pg_class c on c.oid = coalesce(r.oid, t.tgrelid)
join pg_namespace n on n.oid = c.relnamespace
order by relation
