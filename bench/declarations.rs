//! Validating, ordering, selecting and planning 10,000 assets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{NaiveDate, Utc};
use karat::asset::calendar::Calendar;
use karat::asset::definitions::Definitions;
use karat::asset::spec::{AssetKind, AssetSpec, ColumnSpec, UpstreamSpec};
use karat::core::graph::AssetGraph;
use karat::core::key::AssetKey;
use karat::core::mapping::PartitionMapping;
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::plan::{PartitionSets, StepSets, advance, missing_inputs};
use karat::core::policy::{Automation, RetryPolicy, WaitPolicy, WriteMode, not_null, unique};
use karat::core::selection::{SelectionCatalog, SelectionState, evaluate, parse};

use crate::processor::ProcessorTime;
use crate::report::{Report, milliseconds};
use crate::rounds::median_duration;
use crate::server::ZONE;

const ASSETS: usize = 10_000;

const ROUNDS: usize = 7;

/// How far upstream an asset looks.
const REACH: usize = 100;

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let mut parts: Vec<[Duration; 2]> = Vec::new();
    let mut elapsed = Vec::new();
    let mut resident = 0;
    for round in 0..ROUNDS {
        let before = resident_kibibytes()?;
        let specs = specs()?;
        let (begun, processor) = (Instant::now(), ProcessorTime::of_this_thread()?);
        let definitions = Definitions::from_specs(calendar(), specs, BTreeMap::new())?;
        let validated = ProcessorTime::of_this_thread()?;
        let ready = plan(&definitions)?;
        let planned = ProcessorTime::of_this_thread()?;
        elapsed.push(begun.elapsed());
        parts.push([validated.saturating_sub(processor), planned.saturating_sub(validated)]);
        ensure!(ready == 1, "{ready} assets are ready although only the first reads nothing");
        if round == 0 {
            // Specifications and definitions are one: they move.
            resident = resident_kibibytes()?.saturating_sub(before);
        }
    }
    let [validated, planned] =
        [0, 1].map(|part| median_duration(&parts.iter().map(|parts| parts[part]).collect::<Vec<_>>()));
    let detail = format!(
        "processor time of one thread: validate {}, select and plan {}; elapsed {} at best; median of {ROUNDS}",
        milliseconds(validated),
        milliseconds(planned),
        milliseconds(elapsed.into_iter().min().unwrap_or_default()),
    );
    let measured = (validated + planned).as_secs_f64() * 1_000.0;
    report.add(format!("{ASSETS} assets validated and planned"), measured, "ms", Some(100.0), detail);
    let detail = "growth of the resident set, declarations included".to_owned();
    report.add("their memory", resident as f64 / 1024.0, "MB", Some(100.0), detail);
    Ok(())
}

/// Everything is asked for at once; the number of assets that can begin.
fn plan(definitions: &Definitions) -> anyhow::Result<usize> {
    let now = Utc::now();
    let selected = evaluate(&parse("silver.*")?, &Selectable(definitions))?;
    ensure!(selected.len() == ASSETS, "{} assets are selected", selected.len());
    let plan: PartitionSets = selected
        .iter()
        .filter_map(|key| definitions.asset(key))
        .map(|spec| (spec.key.clone(), spec.partitions.closed(now)))
        .collect();
    let missing = missing_inputs(definitions, &plan, &PartitionSets::new(), now);
    ensure!(missing.is_empty(), "inputs of a plan of everything are missing: {missing:?}");
    let steps = plan.into_iter().map(|(key, pending)| (key, StepSets { pending, ..StepSets::default() })).collect();
    Ok(advance(definitions, &steps, now).ready.len())
}

/// What selections ask of the definitions.
struct Selectable<'definitions>(&'definitions Definitions);

impl SelectionCatalog for Selectable<'_> {
    fn graph(&self) -> &AssetGraph {
        self.0.graph()
    }

    fn kind(&self, key: &AssetKey) -> &str {
        self.0.asset(key).map_or("", |spec| spec.kind.as_str())
    }

    fn tags(&self, key: &AssetKey) -> &[String] {
        self.0.asset(key).map_or(&[], |spec| &spec.tags)
    }

    fn owner(&self, key: &AssetKey) -> Option<&str> {
        self.0.asset(key).and_then(|spec| spec.owner.as_deref())
    }

    fn assets_in_state(&self, _state: SelectionState) -> BTreeSet<AssetKey> {
        BTreeSet::new()
    }
}

fn calendar() -> Calendar {
    Calendar { zone: ZONE, first_day: NaiveDate::from_ymd_opt(2025, 1, 1).unwrap_or_default() }
}

fn key(index: usize) -> anyhow::Result<AssetKey> {
    format!("silver.asset_{index:05}").parse().context("a key")
}

fn specs() -> anyhow::Result<Vec<AssetSpec>> {
    let daily = PartitionsDefinition::time(Cadence::Daily, ZONE, calendar().first_day, None)?;
    (0..ASSETS).map(|index| spec(index, daily.clone())).collect()
}

fn spec(index: usize, partitions: PartitionsDefinition) -> anyhow::Result<AssetSpec> {
    let column = |name: &str, sql_type| ColumnSpec {
        name: name.to_owned(),
        sql_type,
        nullable: false,
        description: format!("The {name} of the asset."),
    };
    // One, two or three assets before this one; about two on average.
    let mut upstreams: Vec<usize> =
        (0..=index % 3).filter_map(|step| index.checked_sub(1 + step * (7 + index % REACH))).collect();
    upstreams.dedup();
    let upstreams: Vec<AssetKey> = upstreams.into_iter().map(key).collect::<anyhow::Result<_>>()?;
    let from: Vec<String> = upstreams.iter().map(|upstream| format!("select day, value from {upstream}")).collect();
    let from = if from.is_empty() {
        "select date '2025-01-01' as day, 1 as value".to_owned()
    } else {
        from.join(" union all ")
    };
    Ok(AssetSpec {
        key: key(index)?,
        kind: AssetKind::Sql,
        description: "A daily sum over what it reads.".to_owned(),
        type_name: "Generated",
        owner: Some("data".to_owned()),
        tags: vec!["generated".to_owned()],
        partitions,
        partition_column: Some("day".to_owned()),
        columns: vec![column("day", "date"), column("rows", "bigint"), column("value", "bigint")],
        upstreams: upstreams.into_iter().map(|key| UpstreamSpec { key, mapping: PartitionMapping::Overlap }).collect(),
        checks: vec![unique(&["day"]), not_null("value")],
        write_mode: WriteMode::ReplacePartition,
        automation: Automation::Manual,
        wait: WaitPolicy::All,
        freshness: None,
        retry: RetryPolicy::DEFAULT,
        timeout: None,
        pool: None,
        priority: 0,
        range_partitions: 400,
        source_file: file!(),
        sql: Some(format!(
            "-- A daily sum.\nselect day, count(*) as rows, sum(value)::bigint as value\nfrom ({from}) as input\n\
             where day >= $1::date and day < $2::date\ngroup by day;"
        )),
        compute: None,
        compute_version: 0,
        late_limit: None,
        code_version: String::new(),
    })
}

fn resident_kibibytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
