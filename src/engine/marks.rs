//! Where marks lie: what the partition column says, turned into partitions and back.

use chrono::{DateTime, NaiveTime, Utc};

use super::external::limit_text;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::asset::statement::DATE_TYPE;
use crate::core::partition::{Cadence, Ordinal, PartitionsDefinition};
use crate::core::policy::WriteMode;
use crate::core::subset::PartitionSubset;
use crate::core::time::start_of_day;
use crate::store::materialization::MarkPlace;
use crate::store::trigger::{LateRule, MarkedTable};
use crate::store::{Store, StoreError};

/// How many marks are filed in one transaction.
const BATCH: i64 = 5_000;

/// Whether the partition column of `asset` holds dates.
pub(super) fn is_date(asset: &AssetSpec) -> bool {
    asset
        .partition_column
        .as_ref()
        .and_then(|name| asset.column(name))
        .is_some_and(|column| column.sql_type == DATE_TYPE)
}

/// The parts of an external asset that hold `partitions`, as marks name them.
pub(crate) fn places(asset: &AssetSpec, partitions: &PartitionSubset) -> Vec<MarkPlace> {
    if asset.partitions.as_time().is_none() {
        return partitions.iter().map(|ordinal| MarkPlace::Key(asset.partitions.key(ordinal).to_string())).collect();
    }
    let place = |&(first, last): &(Ordinal, Ordinal)| {
        let (start, end) = if is_date(asset) {
            let midnight = |ordinal| Some(asset.partitions.date(ordinal)?.and_time(NaiveTime::MIN).and_utc());
            (midnight(first)?, midnight(last.saturating_add(1))?)
        } else {
            (asset.partitions.window(first)?.start, asset.partitions.window(last)?.end)
        };
        Some(MarkPlace::Time { first, last, start, end })
    };
    partitions.ranges().iter().filter_map(place).collect()
}

/// The first and last ordinal of the partitions that hold values of the partition column from `first` to `last`, whether
/// or not the definition reaches so far; `None` for partitions that are not made of time.
///
/// Both are instants, or of a `date` column dates as midnight in UTC.
pub(crate) fn ordinals_of(asset: &AssetSpec, first: DateTime<Utc>, last: DateTime<Utc>) -> Option<(Ordinal, Ordinal)> {
    let PartitionsDefinition::Time(time) = &asset.partitions else { return None };
    let at = |value: DateTime<Utc>| {
        time.at(if is_date(asset) { start_of_day(value.date_naive(), time.zone()) } else { value })
    };
    Some((at(first), at(last)))
}

/// What the triggers on the tables of the external assets are told.
#[must_use]
pub fn marked_tables(definitions: &Definitions) -> Vec<MarkedTable> {
    definitions.assets().filter(|asset| !asset.is_materializable()).map(|asset| marked_table(asset)).collect()
}

fn marked_table(asset: &AssetSpec) -> MarkedTable {
    let place = match &asset.partitions {
        PartitionsDefinition::Unpartitioned => "all",
        PartitionsDefinition::Static(_) => "key",
        PartitionsDefinition::Time(_) if is_date(asset) => "date",
        PartitionsDefinition::Time(_) => "instant",
    };
    let late = asset.late_limit.zip(asset.partitions.as_time()).map(|(limit, time)| LateRule {
        cadence: match time.cadence() {
            Cadence::Hourly => "hour",
            Cadence::Daily => "day",
            Cadence::Weekly => "week",
            Cadence::Monthly => "month",
        },
        zone: time.zone().name().to_owned(),
        limit_seconds: limit.as_secs(),
        limit_text: limit_text(limit),
        natural_key: match &asset.write_mode {
            WriteMode::ReplacePartition => Vec::new(),
            WriteMode::Append { natural_key } => natural_key.clone(),
        },
    });
    MarkedTable {
        asset_key: asset.key.to_string(),
        place,
        column: asset.partition_column.clone().unwrap_or_default(),
        late,
    }
}

/// Files marks that only say when their rows happened under the partitions of the definitions; returns how many.
///
/// Nobody depends on it having run: questions about staleness see marks of both kinds.
///
/// # Errors
/// When the state cannot be used; what was filed before stays filed.
pub async fn file_marks(store: &Store, definitions: &Definitions) -> Result<u64, StoreError> {
    let assets: Vec<&AssetSpec> = definitions
        .assets()
        .filter(|asset| !asset.is_materializable() && asset.partitions.as_time().is_some())
        .map(AsRef::as_ref)
        .collect();
    let keys: Vec<&str> = assets.iter().map(|asset| asset.key.as_str()).collect();
    if keys.is_empty() {
        return Ok(0);
    }
    let mut filed = 0;
    loop {
        let batch = store
            .file_marks(&keys, BATCH, |mark| {
                let Some(asset) = assets.iter().find(|asset| asset.key.as_str() == mark.asset_key) else {
                    return Vec::new();
                };
                let (first, last) = ordinals_of(asset, mark.first_at, mark.last_at).unwrap_or((0, -1));
                (first..=last).map(|ordinal| (asset.partitions.key(ordinal).to_string(), ordinal)).collect()
            })
            .await?;
        filed += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(filed);
        }
    }
}
