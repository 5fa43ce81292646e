//! Declarations of any number of assets, always the same.

use chrono::NaiveDate;
use chrono_tz::Europe::Berlin;
use karat::asset::calendar::Calendar;
use karat::asset::definitions::Definitions;
use karat::asset::spec::{AssetKind, AssetSpec, ColumnSpec, PoolLimits, UpstreamSpec};
use karat::core::key::AssetKey;
use karat::core::mapping::PartitionMapping;
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::policy::{Automation, RetryPolicy, WaitPolicy, WriteMode};

fn calendar() -> Calendar {
    Calendar { zone: Berlin, first_day: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() }
}

/// A daily asset that reads these; one that reads nothing is external.
pub(crate) fn asset(name: &str, upstreams: &[&str]) -> AssetSpec {
    let column = |name: &str, sql_type| ColumnSpec {
        name: name.to_owned(),
        sql_type,
        nullable: false,
        description: String::new(),
    };
    let key = |name: &str| name.parse::<AssetKey>().unwrap();
    let is_external = upstreams.is_empty();
    let sql = format!("select day, people from {} where day = $3", upstreams.first().unwrap_or(&"nothing"));
    AssetSpec {
        key: key(name),
        kind: if is_external { AssetKind::External } else { AssetKind::Sql },
        description: "Generated.".to_owned(),
        type_name: "Generated",
        owner: None,
        tags: Vec::new(),
        partitions: PartitionsDefinition::time(Cadence::Daily, Berlin, calendar().first_day, None).unwrap(),
        partition_column: Some("day".to_owned()),
        columns: vec![column("day", "date"), column("people", "bigint")],
        upstreams: upstreams
            .iter()
            .map(|name| UpstreamSpec { key: key(name), mapping: PartitionMapping::Overlap })
            .collect(),
        checks: Vec::new(),
        write_mode: WriteMode::ReplacePartition,
        automation: Automation::Manual,
        wait: WaitPolicy::All,
        freshness: None,
        retry: RetryPolicy::DEFAULT,
        timeout: None,
        pool: None,
        priority: 0,
        range_partitions: 1,
        source_file: file!(),
        sql: (!is_external).then_some(sql),
        compute: None,
        compute_version: 0,
        late_limit: None,
        code_version: String::new(),
    }
}

pub(crate) fn definitions(specs: Vec<AssetSpec>) -> Definitions {
    Definitions::from_specs(calendar(), specs, PoolLimits::default()).unwrap()
}

/// So many assets in three layers: a third is external, a third reads those and one another, a third reads all.
pub(crate) fn community(count: usize) -> Vec<AssetSpec> {
    let subjects = ["messages", "voice", "sessions", "members", "orders", "tickets", "clicks", "streams"];
    let layer = |index: usize| ["bronze", "silver", "gold"][(index * 3 / count).min(2)];
    let name = |index: usize| format!("{}.{}_{index:03}", layer(index), subjects[index % subjects.len()]);
    let mut chance = 20_261_123_u64;
    let mut below = |limit: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(chance >> 33).unwrap() % limit
    };
    (0..count)
        .map(|index| {
            if layer(index) == "bronze" {
                return asset(&name(index), &[]);
            }
            let mut upstreams: Vec<usize> = (0..1 + index % 3)
                .map(|_| {
                    if layer(index) == "gold" && below(4) > 0 {
                        count / 3 + below(index - count / 3)
                    } else {
                        below(index)
                    }
                })
                .collect();
            upstreams.sort_unstable();
            upstreams.dedup();
            let upstreams: Vec<String> = upstreams.into_iter().map(name).collect();
            asset(&name(index), &upstreams.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .collect()
}
