//! Rows of assets' tables, to look at and to take away.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use serde::Serialize;
use serde_json::Value;

use super::status::FreshnessView;
use super::{PartitionsView, Picture, Service, ServiceError};
use crate::asset::spec::{AssetSpec, ColumnSpec};
use crate::core::key::{AssetKey, PartitionKey};
use crate::core::partition::Ordinal;
use crate::core::shown::shown;
use crate::core::subset::PartitionSubset;
use crate::core::suggest::did_you_mean;
use crate::core::time::start_of_day;
use crate::engine::reading::{Cursor, Filter, ReadError, Reading, RowQuery};

/// How many rows a page has unless it is asked for more or fewer.
pub const ROWS: u32 = 100;

/// How many rows a page has at most.
pub const MOST_ROWS: u32 = 1_000;

/// How many rows can be taken away at once.
pub const MOST_DOWNLOADED_ROWS: usize = 1_000_000;

/// Rows on their way, page by page.
pub type RowStream = BoxStream<'static, Result<Vec<Vec<Value>>, ServiceError>>;

/// Rows that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsRequest {
    /// The columns; none is all of them.
    pub columns: Vec<String>,
    /// The partitions, as on the command line: `2026-03`, `2026-03-01..2026-03-14`.
    pub partitions: Option<String>,
    /// The first local day, by the column that the rows are told apart by in time.
    pub from: Option<NaiveDate>,
    /// The last local day.
    pub to: Option<NaiveDate>,
    /// Columns and the values that they must have.
    pub equals: Vec<(String, String)>,
    /// The column that the rows are in the order of, with `-` before it for the greatest first; the partition column
    /// with the newest first when it is `None`.
    pub sort: Option<String>,
    /// How many rows a page has.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of rows.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RowsView {
    /// Whose rows they are.
    pub asset: AssetKey,
    /// The columns of the rows.
    pub columns: Vec<ColumnSpec>,
    /// The rows.
    pub rows: Vec<RowView>,
    /// The order of the rows, as it is asked for.
    pub sort: String,
    /// What to ask with for the next page; `None` when this is the last.
    pub next_cursor: Option<String>,
    /// How far the figures can be relied on.
    pub standing: StandingView,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RowView {
    /// Its values, in the order of the columns.
    pub values: Vec<Value>,
    /// Whether its partition is still open or is going to be rebuilt: the figures may change.
    pub provisional: bool,
}

/// How far figures of an asset can be relied on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct StandingView {
    /// Whether it has been looked at yet: just after a start nothing is known.
    pub known: bool,
    /// When the newest version was published, or the newest rows landed.
    pub newest_at: Option<DateTime<Utc>>,
    /// Partitions built before they ended: they are built again when they have.
    pub open: PartitionsView,
    /// Partitions whose inputs or code have changed since.
    pub stale: PartitionsView,
    /// Partitions whose newest attempt failed; what is shown of them is older.
    pub failed: PartitionsView,
    /// How the asset keeps its freshness policy, if it has one.
    pub freshness: Option<FreshnessView>,
}

/// How partitions of an asset stand, as far as figures are concerned.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    known: bool,
    pub(super) materialized: PartitionSubset,
    open: PartitionSubset,
    stale: PartitionSubset,
    failed: PartitionSubset,
    newest_at: Option<DateTime<Utc>>,
    freshness: Option<FreshnessView>,
}

impl Standing {
    /// As in the picture; of an asset that has not been looked at yet nothing is known.
    pub(super) fn of(picture: &Picture, spec: &AssetSpec) -> Self {
        let Some(asset) = picture.asset(&spec.key) else { return Self::default() };
        Self {
            known: true,
            materialized: asset.materialized.clone(),
            open: asset.open.clone(),
            stale: asset.stale.partitions(),
            failed: asset.failed.partitions(),
            newest_at: asset.newest_at,
            freshness: spec
                .freshness
                .zip(asset.freshness)
                .map(|(policy, freshness)| FreshnessView::new(policy, freshness)),
        }
    }

    /// Whether figures of that partition may change.
    pub(super) fn may_change(&self, ordinal: Ordinal) -> bool {
        self.open.contains(ordinal) || self.stale.contains(ordinal)
    }

    /// Whether figures of the partition that `value`, a value of the partition column, lies in may change.
    pub(super) fn is_provisional(&self, spec: &AssetSpec, value: &Value) -> bool {
        ordinal_of_value(spec, value).is_some_and(|ordinal| self.may_change(ordinal))
    }

    /// Of the partitions in `within`.
    pub(super) fn view(&self, spec: &AssetSpec, within: Option<&PartitionSubset>) -> StandingView {
        let view = |subset: &PartitionSubset| match within {
            Some(within) => PartitionsView::new(&spec.partitions, &subset.intersection(within)),
            None => PartitionsView::new(&spec.partitions, subset),
        };
        StandingView {
            known: self.known,
            newest_at: self.newest_at,
            open: view(&self.open),
            stale: view(&self.stale),
            failed: view(&self.failed),
            freshness: self.freshness.clone(),
        }
    }
}

/// The partition that rows with `value` in the partition column belong to.
pub(super) fn ordinal_of_value(spec: &AssetSpec, value: &Value) -> Option<Ordinal> {
    let Value::String(text) = value else {
        return spec.partition_column.is_none().then_some(spec.partitions.first());
    };
    let Some(time) = spec.partitions.as_time() else {
        return match &spec.partition_column {
            Some(_) => spec.partitions.ordinal(&text.parse::<PartitionKey>().ok()?).ok(),
            None => Some(spec.partitions.first()),
        };
    };
    let instant = match text.parse::<NaiveDate>() {
        Ok(date) => start_of_day(date, time.zone()),
        Err(_) => text.parse().ok()?,
    };
    spec.partitions.ordinal_at(instant)
}

/// A request with its names found in the declaration.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) spec: Arc<AssetSpec>,
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) partitions: Option<PartitionSubset>,
    pub(super) days: Option<(ColumnSpec, Option<NaiveDate>, Option<NaiveDate>)>,
    pub(super) equals: Vec<(ColumnSpec, String)>,
    pub(super) order: ColumnSpec,
    pub(super) descending: bool,
    pub(super) limit: u32,
    pub(super) after: Option<Cursor>,
}

impl Asked {
    pub(super) fn filters(&self) -> Vec<Filter<'_>> {
        let partitions = self.partitions.iter().map(Filter::Partitions);
        let days =
            self.days.iter().map(|(column, from, to)| Filter::Days(column, *from, to.and_then(|to| to.succ_opt())));
        let equals = self.equals.iter().map(|(column, value)| Filter::Equals(column, value));
        partitions.chain(days).chain(equals).collect()
    }

    pub(super) fn query(&self) -> RowQuery<'_> {
        RowQuery {
            columns: self.columns.iter().collect(),
            filters: self.filters(),
            order: &self.order,
            descending: self.descending,
            limit: self.limit,
            after: self.after.clone(),
        }
    }
}

impl Service {
    /// A page of rows of an asset's table, with what the picture says of how far they can be relied on.
    ///
    /// # Errors
    /// When a name, a partition, a value or the cursor cannot be, it takes too long, or the database does not answer.
    pub async fn rows(&self, picture: &Picture, asset: &str, request: &RowsRequest) -> Result<RowsView, ServiceError> {
        let asked = self.asked(asset, request)?;
        let mut reading = Reading::begin(&self.store, self.zone()).await?;
        Ok(rows_view(&mut reading, picture, asked).await?)
    }

    /// All rows that are asked for, to be taken away: the columns, and the rows page by page. No connection is held while
    /// a page is on its way, so that who takes long keeps nobody waiting; there are [`MOST_DOWNLOADED_ROWS`] at most.
    ///
    /// # Errors
    /// As [`Self::rows`]; of the stream when the database does not answer any more.
    pub fn all_rows(&self, asset: &str, request: &RowsRequest) -> Result<(Vec<ColumnSpec>, RowStream), ServiceError> {
        let asked = self.asked(asset, request)?;
        Ok((asked.columns.clone(), self.stream(asked)))
    }

    pub(super) fn stream(&self, mut asked: Asked) -> RowStream {
        asked.limit = MOST_ROWS;
        let service = self.clone();
        try_unfold((Some(asked), 0), move |(asked, read)| {
            let service = service.clone();
            async move {
                let Some(mut asked) = asked.filter(|_| read < MOST_DOWNLOADED_ROWS) else { return Ok(None) };
                let mut reading = Reading::begin(&service.store, service.zone()).await?;
                let page = reading.rows(&asked.spec, &asked.query()).await?;
                let read = read + page.rows.len();
                let next = page.next.map(|cursor| {
                    asked.after = Some(cursor);
                    asked
                });
                Ok(Some((page.rows, (next, read))))
            }
        })
        .boxed()
    }

    pub(super) fn zone(&self) -> chrono_tz::Tz {
        self.definitions.calendar().zone
    }

    /// Finds what a request names.
    pub(super) fn asked(&self, asset: &str, request: &RowsRequest) -> Result<Asked, ServiceError> {
        let spec = self.definitions.find(asset)?.clone();
        let columns = match request.columns.as_slice() {
            [] => spec.columns.clone(),
            names => names.iter().map(|name| column(&spec, name).cloned()).collect::<Result<_, _>>()?,
        };
        let (order, descending) = match &request.sort {
            Some(sort) => match sort.strip_prefix('-') {
                Some(name) => (column(&spec, name)?.clone(), true),
                None => (column(&spec, sort)?.clone(), false),
            },
            None => default_order(&spec),
        };
        let partitions = match request.partitions.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Some(spec.partitions.parse_selection(text, self.now()).map_err(|error| {
                ServiceError::Input(format!("the partitions `{text}` of {} cannot be: {error}", spec.key))
            })?),
            None => None,
        };
        let equals = request
            .equals
            .iter()
            .map(|(name, value)| Ok((column(&spec, name)?.clone(), without_zeros(value)?)))
            .collect::<Result<_, ServiceError>>()?;
        let mut asked = Asked {
            columns,
            partitions,
            days: None,
            equals,
            order,
            descending,
            limit: request.limit.unwrap_or(ROWS).clamp(1, MOST_ROWS),
            after: request.cursor.as_deref().map(str::parse).transpose()?,
            spec,
        };
        if request.from.is_some() || request.to.is_some() {
            let time = asked.spec.partition_column.clone().filter(|_| asked.spec.partitions.as_time().is_some());
            let Some(time) = time.and_then(|name| asked.spec.column(&name).cloned()) else {
                return Err(ServiceError::Input(format!(
                    "{} has no partitions of time: leave the days out",
                    asked.spec.key
                )));
            };
            asked.within(&time, request.from, request.to);
        }
        Ok(asked)
    }
}

impl Asked {
    /// Leaves out the rows whose `time` lies outside the local days from `from` to `to`; where it is the partition
    /// column, rows of a partition that these days only touch are in.
    pub(super) fn within(&mut self, time: &ColumnSpec, from: Option<NaiveDate>, to: Option<NaiveDate>) {
        let partitions =
            self.spec.partitions.as_time().filter(|_| self.spec.partition_column.as_ref() == Some(&time.name));
        let Some(partitions) = partitions else {
            self.days = Some((time.clone(), from, to));
            return;
        };
        let zone = partitions.zone();
        let at = |day: NaiveDate| self.spec.partitions.ordinal_at(start_of_day(day, zone));
        let first = from.map_or(Ordinal::MIN, |day| at(day).unwrap_or(Ordinal::MIN));
        let last = to.map_or(Ordinal::MAX, |day| at(day).unwrap_or(Ordinal::MAX));
        let all = PartitionSubset::from_range(first, last);
        self.partitions = Some(self.spec.partitions.restrict(&match &self.partitions {
            Some(partitions) => partitions.intersection(&all),
            None => all,
        }));
    }
}

/// A page of rows.
pub(super) async fn rows_view(
    reading: &mut Reading,
    picture: &Picture,
    mut asked: Asked,
) -> Result<RowsView, ReadError> {
    let shown = asked.columns.len();
    // Read along to know which partition a row belongs to.
    let place = asked.spec.partition_column.as_ref().and_then(|name| asked.spec.column(name)).cloned();
    asked.columns.extend(place);
    let page = reading.rows(&asked.spec, &asked.query()).await?;
    asked.columns.truncate(shown);
    let standing = Standing::of(picture, &asked.spec);
    let rows = page.rows.into_iter().map(|mut values| {
        let place = values.get(shown).cloned().unwrap_or_default();
        values.truncate(shown);
        RowView { values, provisional: standing.is_provisional(&asked.spec, &place) }
    });
    Ok(RowsView {
        asset: asked.spec.key.clone(),
        rows: rows.collect(),
        sort: format!("{}{}", if asked.descending { "-" } else { "" }, asked.order.name),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
        standing: standing.view(&asked.spec, asked.partitions.as_ref()),
        columns: asked.columns,
    })
}

/// The newest first where there is time, and else in the order of the first column.
pub(super) fn default_order(spec: &AssetSpec) -> (ColumnSpec, bool) {
    let by_partition = spec.partition_column.as_ref().and_then(|name| spec.column(name)).cloned();
    match by_partition {
        Some(column) => (column, spec.partitions.as_time().is_some()),
        // Every asset has a column: the declaration is refused otherwise.
        None => (
            spec.columns.first().cloned().unwrap_or_else(|| ColumnSpec {
                name: String::new(),
                sql_type: "text",
                nullable: true,
                description: String::new(),
            }),
            false,
        ),
    }
}

/// The column of that name.
pub(super) fn column<'a>(spec: &'a AssetSpec, name: &str) -> Result<&'a ColumnSpec, ServiceError> {
    spec.column(name).ok_or_else(|| {
        let names = || spec.columns.iter().map(|column| column.name.as_str());
        let shown = shown(name);
        ServiceError::Input(match did_you_mean(name, names()) {
            Some(near) => format!("{} has no column `{shown}`: did you mean `{near}`?", spec.key),
            None => {
                format!(
                    "{} has no column `{shown}`: its columns are {}",
                    spec.key,
                    names().collect::<Vec<_>>().join(", ")
                )
            }
        })
    })
}

/// PostgreSQL has no text with a zero byte in it.
fn without_zeros(value: &str) -> Result<String, ServiceError> {
    if value.contains('\0') {
        return Err(ReadError::Value("there is a zero byte in it".to_owned()).into());
    }
    Ok(value.to_owned())
}
