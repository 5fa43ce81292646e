//! Rows that came too late, and what a person decides about them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::accounts::{Done, Role};
use super::{AssetPartitionsView, PartitionsView, Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::PartitionsDefinition;
use crate::core::word::{self, Word};
use crate::engine::external::release_rows;
use crate::engine::marks::ordinals_of;
use crate::store::quarantine::QuarantinedRow;

/// A row in quarantine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuarantinedView {
    /// Its number.
    pub id: i64,
    /// The asset whose table it is not in.
    pub asset: AssetKey,
    /// The partition it would lie in, where that is known.
    pub partition: Option<PartitionKey>,
    /// `waiting`, `released` or `discarded`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub state: Word,
    /// Why it is here.
    pub reason: String,
    /// Who brought it.
    pub writer: String,
    /// When.
    pub quarantined_at: DateTime<Utc>,
    /// When a person decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// Its columns, times in UTC.
    pub row: Value,
}

/// Which rows a decision is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuarantineScope {
    /// These numbers.
    Rows(Vec<i64>),
    /// All that wait for an asset.
    Asset(String),
}

/// What a decision did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecidedView {
    /// `released` or `discarded`.
    #[serde(deserialize_with = "word::read")]
    #[schema(value_type = String)]
    pub decision: Word,
    /// How many rows it was about.
    pub rows: u64,
    /// Rows that are in their table now.
    pub inserted: u64,
    /// Rows that were in their table already, by their natural key.
    pub duplicates: u64,
    /// The partitions in which rows landed.
    pub partitions: Vec<AssetPartitionsView>,
}

impl Service {
    /// Rows that wait in quarantine, of one asset or of all, newest first; at most `limit`, with numbers below `before`.
    ///
    /// # Errors
    /// When the asset is unknown or the state cannot be read.
    pub async fn quarantine(
        &self,
        asset: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<QuarantinedView>, ServiceError> {
        let key = asset.map(|asset| self.definitions.find(asset)).transpose()?.map(|spec| spec.key.as_str());
        let rows = self.store.quarantined(key, before, i64::from(limit)).await?;
        Ok(rows.into_iter().filter_map(|row| self.quarantined_view(row)).collect())
    }

    /// How many rows wait in quarantine, by asset.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn quarantine_counts(&self) -> Result<Vec<(String, i64)>, ServiceError> {
        let counts = self.store.quarantine_counts().await?;
        Ok(counts.into_iter().map(|(asset, count)| (asset, count.row_count)).collect())
    }

    /// A row that is or was in quarantine.
    ///
    /// # Errors
    /// When there is none of that number, or the state cannot be read.
    pub async fn quarantined_row(&self, id: i64) -> Result<QuarantinedView, ServiceError> {
        let rows = self.store.quarantined_rows(&[id]).await?;
        rows.into_iter().next().and_then(|row| self.quarantined_view(row)).ok_or_else(|| unknown(id))
    }

    /// Puts rows into their tables after all, with marks: what reads their partitions becomes stale.
    ///
    /// # Errors
    /// When a number is unknown or decided already, or a row cannot be stored; then nothing of its asset was released.
    pub async fn release_quarantined(&self, scope: &QuarantineScope) -> Result<DecidedView, ServiceError> {
        self.authorize(Role::Operator)?;
        let mut view =
            DecidedView { decision: "released", rows: 0, inserted: 0, duplicates: 0, partitions: Vec::new() };
        for (key, ids) in self.scope(scope).await? {
            let (target, command) = decision("quarantine release", &key, ids.as_deref());
            let audit = self.record_of(Done::on("quarantine release", &target, &command));
            let pool = self.store.pool();
            let appended = release_rows(pool, &self.definitions, &*self.clock, &key, ids.as_deref(), audit).await?;
            view.rows += appended.inserted + appended.duplicates;
            view.inserted += appended.inserted;
            view.duplicates += appended.duplicates;
            if let Some(spec) = self.definitions.asset(&key).filter(|_| !appended.partitions.is_empty()) {
                let partitions = PartitionsView::new(&spec.partitions, &appended.partitions);
                view.partitions.push(AssetPartitionsView { asset: key, partitions });
            }
        }
        Ok(view)
    }

    /// Refuses rows for good. They stay recorded, and do not come back when their file is read again.
    ///
    /// # Errors
    /// When a number is unknown or decided already, or the state cannot be used.
    pub async fn discard_quarantined(&self, scope: &QuarantineScope) -> Result<DecidedView, ServiceError> {
        self.authorize(Role::Operator)?;
        let mut view =
            DecidedView { decision: "discarded", rows: 0, inserted: 0, duplicates: 0, partitions: Vec::new() };
        for (key, ids) in self.scope(scope).await? {
            let (target, command) = decision("quarantine discard", &key, ids.as_deref());
            let audit = self.record_of(Done::on("quarantine discard", &target, &command));
            view.rows += self.store.discard_quarantined(key.as_str(), ids.as_deref(), self.now(), audit).await?;
        }
        Ok(view)
    }

    /// The rows of a decision by asset; `None` is all that wait.
    async fn scope(&self, scope: &QuarantineScope) -> Result<BTreeMap<AssetKey, Option<Vec<i64>>>, ServiceError> {
        let ids = match scope {
            QuarantineScope::Asset(name) => {
                return Ok(BTreeMap::from([(self.definitions.find(name)?.key.clone(), None)]));
            }
            QuarantineScope::Rows(ids) => ids,
        };
        let rows = self.store.quarantined_rows(ids).await?;
        if let Some(&missing) = ids.iter().find(|id| rows.iter().all(|row| row.quarantine_id != **id)) {
            return Err(unknown(missing));
        }
        let mut by_asset: BTreeMap<AssetKey, Option<Vec<i64>>> = BTreeMap::new();
        for row in rows {
            let id = row.quarantine_id;
            let Some(view) = self.quarantined_view(row) else { continue };
            if view.state != "waiting" {
                return Err(ServiceError::Refused(format!(
                    "row {id} of the quarantine has been {} already; nothing was changed",
                    view.state
                )));
            }
            by_asset.entry(view.asset).or_insert_with(|| Some(Vec::new())).get_or_insert_default().push(id);
        }
        Ok(by_asset)
    }

    /// `None` for a row whose asset has no well-formed key, which Karat does not write.
    fn quarantined_view(&self, row: QuarantinedRow) -> Option<QuarantinedView> {
        let asset: AssetKey = row.asset_key.parse().ok()?;
        let partition = self.definitions.asset(&asset).and_then(|spec| partition_of(spec, &row.row_data));
        let state = match (row.released_at, row.discarded_at) {
            (Some(_), _) => "released",
            (None, Some(_)) => "discarded",
            (None, None) => "waiting",
        };
        Some(QuarantinedView {
            id: row.quarantine_id,
            asset,
            partition,
            state,
            reason: row.reason,
            writer: row.writer,
            quarantined_at: row.quarantined_at,
            decided_at: row.released_at.or(row.discarded_at),
            row: row.row_data,
        })
    }
}

/// What a decision about rows of one asset is about, and the command line that decides the same.
fn decision(action: &str, asset: &AssetKey, ids: Option<&[i64]>) -> (String, String) {
    let target = match ids {
        None => format!("--asset {asset}"),
        Some(ids) => ids.iter().map(i64::to_string).collect::<Vec<_>>().join(" "),
    };
    let command = format!("{action} {target}");
    (target, command)
}

fn unknown(id: i64) -> ServiceError {
    ServiceError::Id(format!("there is no row {id} in quarantine: `quarantine ls` lists those that wait"))
}

fn partition_of(spec: &AssetSpec, row: &Value) -> Option<PartitionKey> {
    let value = row.get(spec.partition_column.as_deref()?)?.as_str()?;
    if !matches!(spec.partitions, PartitionsDefinition::Time(_)) {
        return value.parse().ok();
    }
    let instant = value
        .parse::<DateTime<Utc>>()
        .ok()
        .or_else(|| Some(value.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc()))?;
    let (ordinal, _) = ordinals_of(spec, instant, instant)?;
    Some(spec.partitions.key(ordinal))
}
