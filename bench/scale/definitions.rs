//! Five hundred assets in three layers, daily and hourly.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Days, NaiveDate, Utc};
use karat::asset::calendar::Calendar;
use karat::asset::definitions::Definitions;
use karat::asset::spec::{AssetKind, AssetSpec, ColumnSpec, UpstreamSpec};
use karat::core::key::AssetKey;
use karat::core::mapping::PartitionMapping;
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::policy::{Automation, FreshnessPolicy, RetryPolicy, WaitPolicy, WriteMode, not_null, unique};

use crate::server::ZONE;

/// How many partitions of each asset have begun, about.
pub(super) const PARTITIONS: u64 = 2_000;

/// Of each hundred assets: ten from outside, forty made of those, fifty made of these; a fifth of them hourly.
const OUTSIDE: usize = 10;
const CLEANED: usize = 50;
const GROUP: usize = 100;
pub(super) const ASSETS: usize = 500;

fn calendar(now: DateTime<Utc>) -> Calendar {
    Calendar { zone: ZONE, first_day: first_day(now, PARTITIONS) }
}

fn first_day(now: DateTime<Utc>, days: u64) -> NaiveDate {
    now.with_timezone(&ZONE).date_naive().checked_sub_days(Days::new(days)).unwrap_or_default()
}

fn key(index: usize) -> anyhow::Result<AssetKey> {
    let layer = match index % GROUP {
        0..OUTSIDE => "bronze",
        OUTSIDE..CLEANED => "silver",
        _ => "gold",
    };
    format!("{layer}.asset_{index:03}").parse().context("a key")
}

/// The assets as of `now`: both processes that need them make the same ones.
pub(super) fn definitions(now: DateTime<Utc>) -> anyhow::Result<Definitions> {
    let calendar = calendar(now);
    let daily = PartitionsDefinition::time(Cadence::Daily, ZONE, calendar.first_day, None)?;
    let hourly = PartitionsDefinition::time(Cadence::Hourly, ZONE, first_day(now, PARTITIONS / 24), None)?;
    let specs: Vec<AssetSpec> = (0..ASSETS)
        .map(|index| spec(index, if index / GROUP == 4 { &hourly } else { &daily }))
        .collect::<anyhow::Result<_>>()?;
    Ok(Definitions::from_specs(calendar, specs, BTreeMap::new())?)
}

fn spec(index: usize, partitions: &PartitionsDefinition) -> anyhow::Result<AssetSpec> {
    let (group, place) = (index / GROUP * GROUP, index % GROUP);
    // Two of the layer below, of the same group: daily ones read daily ones.
    let upstreams: Vec<usize> = match place {
        0..OUTSIDE => Vec::new(),
        OUTSIDE..CLEANED => vec![group + place % OUTSIDE, group + (place + 3) % OUTSIDE],
        _ => vec![group + OUTSIDE + place % 40, group + OUTSIDE + (place + 7) % 40],
    };
    let upstreams: Vec<AssetKey> = upstreams.into_iter().map(key).collect::<anyhow::Result<_>>()?;
    let is_hourly = partitions.cadence() == Some(Cadence::Hourly);
    let (column_name, column_type) = if is_hourly { ("hour", "timestamp with time zone") } else { ("day", "date") };
    let column = |name: &str, sql_type| ColumnSpec {
        name: name.to_owned(),
        sql_type,
        nullable: false,
        description: format!("The {name} of the asset."),
    };
    let from: Vec<String> =
        upstreams.iter().map(|upstream| format!("select {column_name}, value from {upstream}")).collect();
    let is_outside = upstreams.is_empty();
    let sql = format!(
        "-- A sum.\nselect {column_name}, count(*) as rows, sum(value)::bigint as value\nfrom ({}) as input\n\
         where {column_name} >= $1 and {column_name} < $2\ngroup by {column_name}",
        from.join(" union all ")
    );
    Ok(AssetSpec {
        key: key(index)?,
        kind: if is_outside { AssetKind::External } else { AssetKind::Sql },
        description: "A sum over what it reads, as many of its kind.".to_owned(),
        type_name: "Generated",
        owner: Some("data".to_owned()),
        tags: vec!["generated".to_owned()],
        partitions: partitions.clone(),
        partition_column: Some(column_name.to_owned()),
        columns: vec![column(column_name, column_type), column("rows", "bigint"), column("value", "bigint")],
        upstreams: upstreams.into_iter().map(|key| UpstreamSpec { key, mapping: PartitionMapping::Overlap }).collect(),
        checks: if is_outside { Vec::new() } else { vec![unique(&[column_name]), not_null("value").non_blocking()] },
        write_mode: if is_outside {
            WriteMode::Append { natural_key: vec![column_name.to_owned()] }
        } else {
            WriteMode::ReplacePartition
        },
        automation: Automation::Manual,
        wait: WaitPolicy::All,
        freshness: (place % 3 == 0).then(|| FreshnessPolicy::hours(48)).flatten(),
        retry: RetryPolicy::DEFAULT,
        timeout: Some(Duration::from_secs(600)),
        pool: None,
        priority: 0,
        range_partitions: if is_outside { 1 } else { 400 },
        source_file: file!(),
        sql: (!is_outside).then_some(sql),
        compute: None,
        compute_version: 0,
        late_limit: None,
        code_version: String::new(),
    })
}
