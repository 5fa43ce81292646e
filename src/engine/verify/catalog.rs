//! What PostgreSQL's catalogs say about tables and views.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{FromRow, PgConnection};

use crate::core::key::AssetKey;

/// A relation that bears the name of an asset.
#[derive(Debug)]
pub(super) struct Relation {
    /// PostgreSQL's letter for its kind: `r` table, `p` partitioned table, `v` view, `m` materialized view, `f` foreign
    /// table, and others.
    pub(super) kind: String,
    pub(super) columns: Vec<TableColumn>,
    pub(super) indexes: Vec<Index>,
}

#[derive(Debug, FromRow)]
pub(super) struct TableColumn {
    relation: i64,
    pub(super) name: String,
    pub(super) sql_type: String,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    /// Whether PostgreSQL refuses any value for it.
    pub(super) is_computed: bool,
}

/// An index, or the columns that a partitioned table is partitioned by.
#[derive(Debug, FromRow)]
pub(super) struct Index {
    relation: i64,
    /// In order; an expression is an empty name.
    pub(super) columns: Vec<String>,
    /// Whether `on conflict (columns)` can use it.
    pub(super) is_arbiter: bool,
}

#[derive(FromRow)]
struct NamedRelation {
    relation: i64,
    schema_name: String,
    table_name: String,
    kind: String,
}

/// The relations that bear the names of these assets.
pub(super) async fn relations(
    connection: &mut PgConnection,
    keys: &[&AssetKey],
) -> Result<BTreeMap<AssetKey, Relation>, sqlx::Error> {
    let schemas: Vec<&str> = keys.iter().map(|key| key.schema()).collect();
    let tables: Vec<&str> = keys.iter().map(|key| key.table()).collect();
    let named: Vec<NamedRelation> = sqlx::query_as(
        "select c.oid::bigint as relation, n.nspname::text as schema_name, c.relname::text as table_name,
                c.relkind::text as kind
         from unnest($1::text[], $2::text[]) as wanted (schema_name, table_name)
         join pg_namespace n on n.nspname = wanted.schema_name
         join pg_class c on c.relnamespace = n.oid and c.relname = wanted.table_name",
    )
    .bind(schemas)
    .bind(tables)
    .fetch_all(&mut *connection)
    .await?;
    let identities: Vec<i64> = named.iter().map(|named| named.relation).collect();
    let mut columns = by_relation(columns(connection, &identities).await?, |column| column.relation);
    let mut indexes = by_relation(indexes(connection, &identities).await?, |index| index.relation);
    Ok(named
        .into_iter()
        .filter_map(|named| {
            let relation = Relation {
                kind: named.kind,
                columns: columns.remove(&named.relation).unwrap_or_default(),
                indexes: indexes.remove(&named.relation).unwrap_or_default(),
            };
            Some((format!("{}.{}", named.schema_name, named.table_name).parse().ok()?, relation))
        })
        .collect())
}

fn by_relation<T>(rows: Vec<T>, relation: impl Fn(&T) -> i64) -> BTreeMap<i64, Vec<T>> {
    let mut grouped: BTreeMap<i64, Vec<T>> = BTreeMap::new();
    for row in rows {
        grouped.entry(relation(&row)).or_default().push(row);
    }
    grouped
}

async fn columns(connection: &mut PgConnection, relations: &[i64]) -> Result<Vec<TableColumn>, sqlx::Error> {
    sqlx::query_as(
        "select attrelid::bigint as relation, attname::text as name, format_type(atttypid, atttypmod) as sql_type,
                attnotnull as not_null, atthasdef or attidentity <> '' as has_default,
                attgenerated <> '' or attidentity = 'a' as is_computed
         from pg_attribute
         where attrelid = any ($1::bigint[]::oid[]) and attnum > 0 and not attisdropped
         order by attrelid, attnum",
    )
    .bind(relations)
    .fetch_all(connection)
    .await
}

async fn indexes(connection: &mut PgConnection, relations: &[i64]) -> Result<Vec<Index>, sqlx::Error> {
    sqlx::query_as(
        "with key as (
             select indrelid as relation, indkey::int2[] as attributes, indnkeyatts as length,
                    indisunique and indimmediate and indpred is null and indexprs is null as is_arbiter
             from pg_index where indisvalid and indpred is null
             union all
             select partrelid, partattrs::int2[], partnatts, false from pg_partitioned_table
         )
         select relation::bigint as relation, is_arbiter,
                array(select coalesce(attname::text, '')
                      from unnest(attributes) with ordinality as part (attribute, position)
                      left join pg_attribute on attrelid = relation and attnum = attribute and attribute > 0
                      where position <= length
                      order by position) as columns
         from key
         where relation = any ($1::bigint[]::oid[])",
    )
    .bind(relations)
    .fetch_all(connection)
    .await
}

/// All tables that are neither PostgreSQL's nor Karat's own, as `schema.table`.
pub(super) async fn tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select n.nspname || '.' || c.relname
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_.*|information_schema|karat)$'
         order by 1",
    )
    .fetch_all(connection)
    .await
}

/// The words that PostgreSQL does not take for a name without quotes.
pub(super) async fn keywords(connection: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let words: Vec<String> = sqlx::query_scalar("select word::text from pg_get_keywords() where catcode <> 'U'")
        .fetch_all(connection)
        .await?;
    Ok(words.into_iter().collect())
}

/// A column of a view.
#[derive(Debug, FromRow)]
pub(super) struct ViewColumn {
    pub(super) name: String,
    /// The type without its modifier: `numeric`, not `numeric(10,2)`.
    pub(super) base_type: String,
    pub(super) sql_type: String,
}

/// The columns of the view, in order.
pub(super) async fn view_columns(connection: &mut PgConnection, view: &str) -> Result<Vec<ViewColumn>, sqlx::Error> {
    sqlx::query_as(
        "select attname::text as name, format_type(atttypid, null) as base_type,
                format_type(atttypid, atttypmod) as sql_type
         from pg_attribute where attrelid = to_regclass($1) and attnum > 0 order by attnum",
    )
    .bind(view)
    .fetch_all(connection)
    .await
}

/// A table or view that a view reads.
#[derive(Debug, FromRow)]
pub(super) struct Read {
    pub(super) schema_name: String,
    pub(super) table_name: String,
    /// As in [`Relation::kind`].
    pub(super) kind: String,
    pub(super) columns: Vec<String>,
}

/// What the view reads, exactly: tables and columns that its rule depends on.
pub(super) async fn reads(connection: &mut PgConnection, view: &str) -> Result<Vec<Read>, sqlx::Error> {
    // PostgreSQL keeps no dependencies on its own catalogs: those are found in the tree of the view's rule.
    sqlx::query_as(
        "with rule as (
             select oid as rule_id, ev_class as view_id, ev_action::text as tree
             from pg_rewrite where ev_class = to_regclass($1)
         ),
         read as (
             select refobjid as relation, refobjsubid as attribute, view_id
             from rule join pg_depend on classid = 'pg_rewrite'::regclass and objid = rule_id
             where refclassid = 'pg_class'::regclass
             union
             select found[1]::oid, 0, view_id from rule, regexp_matches(tree, ':relid (\\d+)', 'g') as found
         )
         select n.nspname::text as schema_name, c.relname::text as table_name, c.relkind::text as kind,
                coalesce(array_agg(a.attname::text order by a.attname) filter (where a.attname is not null), '{}')
                    as columns
         from read
         join pg_class c on c.oid = relation and relation <> view_id and c.relkind in ('r', 'p', 'v', 'm', 'f')
         join pg_namespace n on n.oid = c.relnamespace
         left join pg_attribute a on a.attrelid = relation and a.attnum = attribute and attribute <> 0
         group by 1, 2, 3
         order by 1, 2",
    )
    .bind(view)
    .fetch_all(connection)
    .await
}

/// A function that a view calls and whose result its arguments alone do not decide.
#[derive(Debug, FromRow)]
pub(super) struct Function {
    pub(super) name: String,
    /// Whether it may give something else at every call, or depends on the present time.
    pub(super) is_unrepeatable: bool,
}

/// The functions that the view calls, directly or through an operator, and that are unrepeatable or may read tables.
pub(super) async fn functions(connection: &mut PgConnection, view: &str) -> Result<Vec<Function>, sqlx::Error> {
    sqlx::query_as(
        "with rule as (select ev_action::text as tree from pg_rewrite where ev_class = to_regclass($1)),
         called as (
             select found[1]::oid as function from rule, regexp_matches(tree, ':funcid (\\d+)', 'g') as found
             union
             select oprcode::oid from rule, regexp_matches(tree, ':opno (\\d+)', 'g') as found
                 join pg_operator on pg_operator.oid = found[1]::oid
         ),
         judged as (
             select proname::text as name,
                    provolatile = 'v' or nspname = 'pg_catalog' and (
                        proname in ('now', 'transaction_timestamp', 'statement_timestamp')
                        or proname = 'age' and pronargs = 1) as is_unrepeatable,
                    provolatile <> 'i' and nspname <> 'pg_catalog' and not exists (
                        select from pg_depend
                        where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e') as is_opaque
             from called join pg_proc p on p.oid = function join pg_namespace n on n.oid = p.pronamespace
         )
         select name, bool_or(is_unrepeatable) as is_unrepeatable
         from judged where is_unrepeatable or is_opaque
         group by name order by name",
    )
    .bind(view)
    .fetch_all(connection)
    .await
}

/// The sessions that hold or wait for exclusive locks on tables, each in words.
pub(super) async fn exclusive_locks(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct format('process %s (%s, %s) on %s', pid, coalesce(nullif(application_name, ''), 'unnamed'),
                                coalesce(state, 'state unknown'), relation::regclass)
         from pg_locks join pg_stat_activity using (pid)
         where locktype = 'relation' and mode in ('ExclusiveLock', 'AccessExclusiveLock') and pid <> pg_backend_pid()
           and pg_locks.database = (select oid from pg_database where datname = current_database())
         order by 1 limit 5",
    )
    .fetch_all(connection)
    .await
}
