//! The triggers on the tables of external assets: whoever writes there leaves marks.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

use super::error::{Context, describe};
use super::{Store, StoreError};
use crate::asset::statement::identifier;

/// What the triggers on the table of an external asset are told, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedTable {
    /// The asset, whose key is its table.
    pub asset_key: String,
    /// What the partition column holds: `instant`, `date`, `key`; `all` without partitions.
    pub place: &'static str,
    /// The partition column; empty without partitions.
    pub column: String,
    /// Which rows come too late; `None` takes rows of any age.
    pub late: Option<LateRule>,
}

/// Which rows come too late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateRule {
    /// The cadence of the partitions, as `date_trunc` calls it.
    pub cadence: &'static str,
    /// Their zone.
    pub zone: String,
    /// The limit in seconds.
    pub limit_seconds: u64,
    /// The limit in words.
    pub limit_text: String,
    /// The columns of the natural key.
    pub natural_key: Vec<String>,
}

/// What the database has of the triggers that the definitions ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerState {
    /// Tables that have all their triggers, or got them now.
    pub marked: BTreeSet<String>,
    /// Tables that lack some and did not get them.
    pub unmarked: BTreeMap<String, Unmarked>,
    /// Tables on which triggers were made, replaced or dropped.
    pub changed: BTreeSet<String>,
}

/// Why a table lacks triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmarked {
    /// The asset.
    pub asset_key: String,
    /// What PostgreSQL said; `None` when nobody tried.
    pub reason: Option<String>,
}

/// A table in the tree of an asset's table, or a trigger of Karat, or both.
#[derive(Debug, FromRow)]
struct Found {
    /// The asset, unless the table is none's any more.
    asset_key: Option<String>,
    relation: String,
    is_root: bool,
    trigger: Option<String>,
    /// Each ends with a zero byte.
    arguments: Option<Vec<u8>>,
    is_enabled: bool,
}

/// A trigger as it should be.
struct Wanted {
    name: &'static str,
    event: &'static str,
    function: &'static str,
    arguments: Vec<String>,
}

impl Wanted {
    fn stored_arguments(&self) -> Vec<u8> {
        self.arguments.iter().flat_map(|argument| argument.bytes().chain([0])).collect()
    }

    fn statement(&self, relation: &str) -> String {
        let arguments: Vec<String> =
            self.arguments.iter().map(|argument| format!("'{}'", argument.replace('\'', "''"))).collect();
        // A writer of Karat marks by itself; the condition spares it the call.
        format!(
            "create or replace trigger {} {}
             when (current_setting('karat.marked', true) is distinct from 'on') execute function {}({})",
            self.name,
            self.event.replace("{relation}", relation),
            self.function,
            arguments.join(", ")
        )
    }
}

fn wanted(table: &MarkedTable, is_root: bool) -> Vec<Wanted> {
    let mark = |name, event| Wanted {
        name,
        event,
        function: "karat.mark_rows",
        arguments: vec![table.asset_key.clone(), table.place.to_owned(), table.column.clone()],
    };
    let mut triggers = vec![
        mark("karat_mark_insert", "after insert on {relation} referencing new table as new_rows for each statement"),
        mark(
            "karat_mark_update",
            "after update on {relation} referencing old table as old_rows new table as new_rows for each statement",
        ),
        mark("karat_mark_delete", "after delete on {relation} referencing old table as old_rows for each statement"),
        mark("karat_mark_truncate", "before truncate on {relation} for each statement"),
    ];
    // PostgreSQL hands a row trigger on to the parts of a partitioned table.
    if let Some(late) = table.late.as_ref().filter(|_| is_root) {
        let natural_key: Vec<String> = late
            .natural_key
            .iter()
            .map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")))
            .collect();
        triggers.push(Wanted {
            name: "karat_quarantine",
            event: "before insert on {relation} for each row",
            function: "karat.quarantine_late_row",
            arguments: vec![
                table.asset_key.clone(),
                table.column.clone(),
                table.place.to_owned(),
                late.cadence.to_owned(),
                late.zone.clone(),
                format!("{} seconds", late.limit_seconds),
                late.limit_text.clone(),
                format!("{{{}}}", natural_key.join(",")),
            ],
        });
    }
    triggers
}

/// What is missing on each relation, and what is there that should not be: relation → asset and statements.
fn differences(tables: &[MarkedTable], found: &[Found]) -> BTreeMap<String, (Option<String>, Vec<String>)> {
    let mut present: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for row in found {
        present.entry(&row.relation).or_default().push(row);
    }
    let mut differences = BTreeMap::new();
    for (relation, rows) in present {
        let table = rows[0].asset_key.as_ref().and_then(|key| tables.iter().find(|table| table.asset_key == *key));
        let triggers = table.map_or_else(Vec::new, |table| wanted(table, rows[0].is_root));
        let is_there = |wanted: &Wanted| {
            let arguments = wanted.stored_arguments();
            rows.iter().any(|row| {
                row.is_enabled
                    && row.trigger.as_deref() == Some(wanted.name)
                    && row.arguments.as_deref() == Some(arguments.as_slice())
            })
        };
        let mut statements: Vec<String> =
            triggers.iter().filter(|wanted| !is_there(wanted)).map(|wanted| wanted.statement(relation)).collect();
        let foreign = rows.iter().filter_map(|row| row.trigger.as_deref());
        let foreign = foreign.filter(|name| triggers.iter().all(|wanted| wanted.name != *name));
        statements.extend(foreign.map(|name| format!("drop trigger if exists {} on {relation}", identifier(name))));
        differences.insert(relation.to_owned(), (table.map(|table| table.asset_key.clone()), statements));
    }
    differences
}

async fn found(connection: &mut PgConnection, tables: &[MarkedTable]) -> Result<Vec<Found>, StoreError> {
    sqlx::query_as(include_str!("sql/mark_triggers.sql"))
        .bind(tables.iter().map(|table| table.asset_key.as_str()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .context("reading the triggers that leave marks")
}

impl Store {
    /// Makes sure that whoever writes to `tables` leaves marks, and that nobody else's table has these triggers.
    ///
    /// One query when everything is as it should be. Each table is changed in its own short transaction, which waits at
    /// most five seconds for writers; a table that cannot be changed is reported, and the others are changed all the
    /// same. Tables that do not exist are left out. Any number of processes may do so at once.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn install_mark_triggers(&self, tables: &[MarkedTable]) -> Result<TriggerState, StoreError> {
        const DOING: &str = "installing the triggers that leave marks";
        let mut connection = self.pool.acquire().await.context(DOING)?;
        let mut state = TriggerState::default();
        for (relation, (asset, statements)) in differences(tables, &found(&mut connection, tables).await?) {
            if !statements.is_empty() {
                match change(&mut connection, &statements).await {
                    Ok(()) => {}
                    Err(error) if error.as_database_error().is_some() => {
                        if let Some(asset_key) = asset {
                            state.unmarked.insert(relation, Unmarked { asset_key, reason: Some(describe(&error)) });
                        }
                        continue;
                    }
                    Err(error) => return Err(StoreError::new(DOING, error)),
                }
                state.changed.insert(relation.clone());
            }
            if asset.is_some() {
                state.marked.insert(relation);
            }
        }
        Ok(state)
    }

    /// Which tables have the triggers that leave marks, and which lack some; changes nothing.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn mark_triggers(&self, tables: &[MarkedTable]) -> Result<TriggerState, StoreError> {
        let mut connection = self.pool.acquire().await.context("reading the triggers that leave marks")?;
        let mut state = TriggerState::default();
        for (relation, (asset, statements)) in differences(tables, &found(&mut connection, tables).await?) {
            match asset {
                Some(_) if statements.is_empty() => _ = state.marked.insert(relation),
                Some(asset_key) => _ = state.unmarked.insert(relation, Unmarked { asset_key, reason: None }),
                None => {}
            }
        }
        Ok(state)
    }
}

async fn change(connection: &mut PgConnection, statements: &[String]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("set local lock_timeout = 5000").execute(&mut *transaction).await?;
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
