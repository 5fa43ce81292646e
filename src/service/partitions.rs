//! The partitions of one asset: as a table, and as figures over time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::picture::{AssetPicture, HeatState};
use super::status::reason_view;
use super::{Service, ServiceError, StaleReasonView};
use crate::core::key::PartitionKey;
use crate::core::partition::{Ordinal, PartitionsDefinition};
use crate::core::time::TimeWindow;
use crate::store::asset_list::SeriesBucket;

/// The most rows of a page.
const MOST_ROWS: u32 = 500;

/// The most points of a series.
const MOST_POINTS: u32 = 400;

/// Which partitions of an asset.
#[derive(Clone, Debug, Default)]
pub struct PartitionQuery {
    /// Only those that stand so.
    pub state: Option<HeatState>,
    /// Only those with a number from this one on.
    pub first: Option<Ordinal>,
    /// Only those with a number up to this one, inclusive.
    pub last: Option<Ordinal>,
    /// Only those before this partition.
    pub before: Option<Ordinal>,
    /// At most so many, and no more than five hundred.
    pub limit: u32,
}

/// Some partitions, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartitionPageView {
    /// The partitions.
    pub partitions: Vec<PartitionRowView>,
    /// How many there are in all that fit.
    pub total: u64,
    /// What to ask for as `before` next; `None` at the end.
    pub next: Option<Ordinal>,
}

/// A partition in a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartitionRowView {
    /// The partition.
    pub partition: PartitionKey,
    /// Its number.
    pub ordinal: Ordinal,
    /// Its window.
    pub window: Option<TimeWindow>,
    /// How it stands.
    pub state: HeatState,
    /// The present version.
    pub version: Option<PartitionVersionView>,
    /// What the version has against it.
    pub stale: Vec<StaleReasonView>,
    /// The newest step.
    pub step: Option<PartitionStepView>,
}

/// The present version of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartitionVersionView {
    /// When it was published.
    pub at: DateTime<Utc>,
    /// By which run.
    pub run_id: Uuid,
    /// Rows in it.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// How long building it took, with what was built together; `None` when that is not kept any more.
    pub seconds: Option<f64>,
    /// Whether its window had not ended.
    pub open: bool,
}

/// The newest step of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionStepView {
    /// Its run.
    pub run_id: Uuid,
    /// `pending`, `ready`, `running`, `succeeded`, `skipped`, `failed`, `blocked` or `canceled`.
    pub state: String,
    /// Why it was skipped, failed, blocked or canceled.
    pub reason: Option<String>,
}

/// A figure of an asset over its partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesView {
    /// Which: `rows`, `seconds`, or the name under which the asset notes it.
    pub figure: String,
    /// The points, oldest first.
    pub points: Vec<SeriesPointView>,
}

/// A figure over neighbouring partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesPointView {
    /// The first partition.
    pub first: PartitionKey,
    /// The last one, inclusive.
    pub last: PartitionKey,
    /// How many of them have the figure.
    pub partitions: i64,
    /// The least.
    pub least: f64,
    /// The average.
    pub average: f64,
    /// The most.
    pub most: f64,
}

impl Service {
    /// A page of an asset's partitions that have begun, the newest first. How they stand is what the picture says; the
    /// rest takes two statements, whatever the length of the history.
    ///
    /// # Errors
    /// When there is no such asset, or the state cannot be read.
    pub async fn partition_page(
        &self,
        picture: &AssetPicture,
        asset: &str,
        query: &PartitionQuery,
    ) -> Result<PartitionPageView, ServiceError> {
        let spec = self.definitions.find(asset)?.clone();
        let within = picture.existing.clip(query.first.unwrap_or(Ordinal::MIN), query.last.unwrap_or(Ordinal::MAX));
        let by_state = picture.by_state(within.clone());
        let fitting = match query.state {
            Some(wanted) => by_state.iter().find(|(state, _)| *state == wanted).map(|(_, subset)| subset.clone()),
            None => Some(within),
        };
        let fitting = fitting.unwrap_or_default();
        let left = match query.before {
            Some(before) => fitting.clip(Ordinal::MIN, before.saturating_sub(1)),
            None => fitting.clone(),
        };
        let limit = usize::try_from(query.limit.clamp(1, MOST_ROWS)).unwrap_or(usize::MAX);
        let ordinals: Vec<Ordinal> = left.iter().rev().take(limit).collect();
        let next = ordinals.last().copied().filter(|last| left.first().is_some_and(|first| first < *last));
        let keys: Vec<String> = ordinals.iter().map(|&ordinal| spec.partitions.key(ordinal).to_string()).collect();
        let (versions, steps) = if spec.is_materializable() {
            (
                self.store.version_rows(spec.key.as_str(), &keys).await?,
                self.store.newest_steps(spec.key.as_str(), &keys).await?,
            )
        } else {
            (Vec::new(), Vec::new())
        };
        let zone = self.definitions.calendar().zone;
        let row = |(ordinal, key): (Ordinal, &String)| {
            let state = by_state.iter().find(|(_, subset)| subset.contains(ordinal)).map(|(state, _)| *state);
            let version = versions.iter().find(|version| version.partition_key == *key);
            let step = steps.iter().find(|step| step.partition_key == *key);
            PartitionRowView {
                partition: spec.partitions.key(ordinal),
                ordinal,
                window: spec.partitions.window(ordinal),
                state: state.unwrap_or(HeatState::Empty),
                version: version.map(|version| PartitionVersionView {
                    at: version.materialized_at,
                    run_id: version.run_id,
                    row_count: version.row_count,
                    data_version: version.data_version.clone(),
                    seconds: version.seconds,
                    open: version.open,
                }),
                stale: picture
                    .stale
                    .get(ordinal)
                    .map(|reasons| reasons.iter().map(|reason| reason_view(reason, zone)).collect())
                    .unwrap_or_default(),
                step: step.map(|step| PartitionStepView {
                    run_id: step.run_id,
                    state: step.state.clone(),
                    reason: step.reason.clone(),
                }),
            }
        };
        let partitions = ordinals.iter().copied().zip(&keys).map(row).collect();
        Ok(PartitionPageView { partitions, total: fitting.len(), next })
    }

    /// The names of the figures that can be plotted over an asset's partitions: `rows`, `seconds`, and the numbers that it
    /// notes.
    ///
    /// # Errors
    /// When there is no such asset, or the state cannot be read.
    pub async fn figures(&self, asset: &str) -> Result<Vec<String>, ServiceError> {
        let spec = self.definitions.find(asset)?;
        let mut figures = vec!["rows".to_owned(), "seconds".to_owned()];
        figures.extend(self.store.noted_figures(spec.key.as_str()).await?);
        Ok(figures)
    }

    /// Figures of an asset over the partitions `range` (first and last number, inclusive; all without one), in the order in
    /// which they are asked for: at most four hundred points of each, made of the newest thousand versions there.
    ///
    /// # Errors
    /// When there is no such asset, or the state cannot be read.
    pub async fn series(
        &self,
        asset: &str,
        figures: &[String],
        range: Option<(Ordinal, Ordinal)>,
        points: u32,
    ) -> Result<Vec<SeriesView>, ServiceError> {
        let spec = self.definitions.find(asset)?;
        let range = range.unwrap_or((Ordinal::MIN, Ordinal::MAX));
        let points = i64::from(points.clamp(1, MOST_POINTS));
        let buckets = self.store.series(spec.key.as_str(), figures, range, points).await?;
        let point = |bucket: &SeriesBucket| SeriesPointView {
            first: key_of(&spec.partitions, bucket.first),
            last: key_of(&spec.partitions, bucket.last),
            partitions: bucket.count,
            least: bucket.least,
            average: bucket.average,
            most: bucket.most,
        };
        let series = figures.iter().enumerate().map(|(place, figure)| {
            let own = buckets.iter().filter(|bucket| bucket.figure == place);
            SeriesView { figure: figure.clone(), points: own.map(point).collect() }
        });
        Ok(series.collect())
    }
}

/// The key of a stored number; positions of static keys may have moved, and are kept within the list.
fn key_of(definition: &PartitionsDefinition, stored: Ordinal) -> PartitionKey {
    let last = definition.last().unwrap_or(Ordinal::MAX);
    definition.key(if definition.as_time().is_some() { stored } else { stored.clamp(0, last) })
}
