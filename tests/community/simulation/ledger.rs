//! An independent account of what must be so: kept from what was delivered and what was published, without asking Karat
//! how anything stands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use karat::asset::definitions::Definitions;
use karat::core::key::AssetKey;
use karat::core::partition::Ordinal;
use karat::core::plan::{Catalog, partitions_read, partitions_reading};
use karat::core::status::Staleness;
use karat::core::subset::PartitionSubset;
use karat::daemon::automation::explain;
use karat::engine::status::AssetStatus;
use karat::testing::{Happened, Simulation};

/// All automation of the platform waits until inputs were quiet for so long.
const DEBOUNCE: TimeDelta = TimeDelta::seconds(60);

/// A version of a partition.
struct Version {
    code_version: String,
    data_version: String,
}

/// A publication, as it is recorded.
#[derive(sqlx::FromRow)]
struct Published {
    materialization_id: i64,
    asset_key: String,
    partition_key: String,
    code_version: String,
    data_version: String,
    cause: Option<String>,
}

pub(super) struct Ledger {
    definitions: Arc<Definitions>,
    versions: HashMap<(AssetKey, Ordinal), Version>,
    /// Closed partitions that have no version, or one made of other inputs than there are now; with the instant of the
    /// newest change that made it so.
    behind: BTreeMap<AssetKey, BTreeMap<Ordinal, DateTime<Utc>>>,
    closed: BTreeMap<AssetKey, PartitionSubset>,
    newest_id: i64,
    publications: usize,
    /// By schedule, the instants of its ticks.
    ticks: BTreeMap<String, BTreeSet<DateTime<Utc>>>,
    /// How often something waited for something upstream.
    waits: usize,
}

/// Of so many times that something waits, Karat is asked once why.
const ASKED: usize = 40;

impl Ledger {
    pub(super) fn new(definitions: Arc<Definitions>) -> Self {
        Self {
            definitions,
            versions: HashMap::new(),
            behind: BTreeMap::new(),
            closed: BTreeMap::new(),
            newest_id: 0,
            publications: 0,
            ticks: BTreeMap::new(),
            waits: 0,
        }
    }

    /// How many ticks there were.
    pub(super) fn ticks(&self) -> usize {
        self.ticks.values().map(BTreeSet::len).sum()
    }

    /// How many partitions are behind.
    pub(super) fn behind(&self) -> usize {
        self.behind.values().map(BTreeMap::len).sum()
    }

    /// How many partitions were published so far.
    pub(super) const fn publications(&self) -> usize {
        self.publications
    }

    /// Other definitions are in force from here on.
    pub(super) fn redefined(&mut self, definitions: Arc<Definitions>) {
        self.behind.retain(|key, _| definitions.asset(key).is_some());
        self.closed.retain(|key, _| definitions.asset(key).is_some());
        self.definitions = definitions;
    }

    /// New rows landed in partitions of an external asset.
    pub(super) fn landed(&mut self, key: &AssetKey, partitions: &PartitionSubset, now: DateTime<Utc>) {
        self.spread(key, partitions, now);
    }

    /// Whoever reads what changed is behind.
    fn spread(&mut self, key: &AssetKey, changed: &PartitionSubset, now: DateTime<Utc>) {
        let definitions = self.definitions.clone();
        for asset in definitions.assets() {
            for upstream in asset.upstreams.iter().filter(|upstream| upstream.key == *key) {
                let readers = partitions_reading(&*definitions, &asset.key, key, upstream.mapping, changed, now)
                    .intersection(self.closed.get(&asset.key).unwrap_or(&PartitionSubset::empty()));
                self.behind.entry(asset.key.clone()).or_default().extend(readers.iter().map(|ordinal| (ordinal, now)));
            }
        }
    }

    /// Partitions whose window has ended by now wait for their first version.
    pub(super) fn time_passed(&mut self, now: DateTime<Utc>) {
        for asset in self.definitions.assets().filter(|asset| asset.is_materializable()) {
            let before = self.closed.entry(asset.key.clone()).or_default();
            let closed = asset.partitions.closed(now).union(before);
            let since = |ordinal| asset.partitions.window(ordinal).map_or(now, |window| window.end);
            let behind = self.behind.entry(asset.key.clone()).or_default();
            behind.extend(closed.difference(before).iter().map(|ordinal| (ordinal, since(ordinal))));
            *before = closed;
        }
    }

    /// Reads what was published since the last time, and objects to what nobody had a reason for; and the same of
    /// ticks. Without units of work nothing was published, and without a word of the scheduler there was no tick.
    pub(super) async fn observe(&mut self, simulation: &Simulation, happened: &Happened) {
        if happened.units() > 0 {
            self.observe_publications(simulation).await;
        }
        if happened.reports().any(|(_, name, _)| name == "scheduler") {
            self.observe_ticks(simulation).await;
        }
    }

    async fn observe_publications(&mut self, simulation: &Simulation) {
        let now = simulation.now();
        let published: Vec<Published> = sqlx::query_as(
            "select materialization_id, asset_key, partition_key, code_version, data_version, r.cause
             from karat.materialization m left join karat.run r using (run_id)
             where materialization_id > $1 order by materialization_id",
        )
        .bind(self.newest_id)
        .fetch_all(simulation.pool())
        .await
        .unwrap();
        for publication in published {
            self.newest_id = publication.materialization_id;
            self.publications += 1;
            self.published(publication, now);
        }
    }

    async fn observe_ticks(&mut self, simulation: &Simulation) {
        let now = simulation.now();
        let ticks: Vec<(String, DateTime<Utc>)> =
            sqlx::query_as("select schedule, tick_at from karat.tick where recorded_at = $1 order by tick_at")
                .bind(now)
                .fetch_all(simulation.pool())
                .await
                .unwrap();
        for (schedule, tick_at) in ticks {
            let before = self.ticks.entry(schedule).or_default();
            // The clock may show the same hour twice.
            if !before.contains(&tick_at) {
                assert!(before.last().is_none_or(|last| *last < tick_at), "{tick_at} after {before:?}");
                before.insert(tick_at);
            }
        }
    }

    fn published(&mut self, publication: Published, now: DateTime<Utc>) {
        let Published { asset_key, partition_key, code_version, data_version, cause, .. } = publication;
        let key: AssetKey = asset_key.parse().unwrap();
        let spec = self.definitions.asset(&key).unwrap().clone();
        let ordinal = spec.partitions.ordinal(&partition_key.parse().unwrap()).unwrap();
        let was_behind = self.behind.get_mut(&key).is_some_and(|behind| behind.remove(&ordinal).is_some());
        let version = Version { code_version, data_version };
        let before = self.versions.get(&(key.clone(), ordinal));
        if let Some(before) = before.filter(|_| !was_behind) {
            let cause = cause.as_deref().unwrap_or_default();
            assert_ne!(
                before.code_version, version.code_version,
                "{key} {partition_key} was committed twice for the same inputs, the second time by {cause}, at {now}"
            );
            assert!(cause != "automation", "{key} {partition_key} was rebuilt for a change of code alone, at {now}");
        }
        let changed = before.is_none_or(|before| before.data_version != version.data_version);
        self.versions.insert((key.clone(), ordinal), version);
        if changed {
            self.spread(&key, &PartitionSubset::single(ordinal), now);
        }
    }

    /// Whatever is behind after a step has a reason to wait: a change within the debounce, something upstream that is
    /// behind itself, or a window that a clock put back has not seen the end of. Karat is asked now and then, and must
    /// have a reason as well. `excused` assets may wait for ever.
    pub(super) async fn everything_is_fresh_or_waits_for_a_reason(
        &mut self,
        simulation: &Simulation,
        excused: &[&str],
    ) {
        let now = simulation.now();
        let mut waiting = None;
        for (key, behind) in &self.behind {
            let asset = self.definitions.asset(key).unwrap();
            for (&ordinal, &since) in behind {
                if !self.waits_for_upstream(key, ordinal, now) {
                    let partition = asset.partitions.key(ordinal);
                    assert!(
                        now - since < DEBOUNCE
                            || excused.contains(&key.as_str())
                            || asset.partitions.window(ordinal).is_some_and(|window| now < window.end),
                        "{key} {partition} is behind since {since} and nothing keeps it from being built, at {now}"
                    );
                }
                waiting = Some((asset.clone(), ordinal));
            }
        }
        let Some((asset, ordinal)) = waiting.filter(|(asset, _)| !excused.contains(&asset.key.as_str())) else {
            return;
        };
        self.waits += 1;
        if self.waits.is_multiple_of(ASKED) {
            let context = simulation.context();
            let explained = explain(&context.store, &context.definitions, &asset, ordinal, now).await.unwrap();
            let partition = asset.partitions.key(ordinal);
            assert!(
                !explained.verdict.starts_with("due") && !explained.verdict.starts_with("nothing to do"),
                "{} {partition} waits, and Karat says {explained:?}, at {now}",
                asset.key
            );
        }
    }

    fn waits_for_upstream(&self, key: &AssetKey, ordinal: Ordinal, now: DateTime<Utc>) -> bool {
        let subset = PartitionSubset::single(ordinal);
        self.definitions.upstreams(key).into_iter().any(|(upstream, mapping)| {
            let Some(behind) = self.behind.get(upstream).filter(|behind| !behind.is_empty()) else { return false };
            let read = partitions_read(&*self.definitions, key, &subset, upstream, mapping, now);
            read.ranges().iter().any(|&(first, last)| behind.range(first..=last).next().is_some())
        })
    }

    /// Karat's own account of how everything stands says the same.
    pub(super) async fn agrees(&self, simulation: &Simulation) {
        let (context, now) = (simulation.context(), simulation.now());
        let keys: Vec<AssetKey> = self.behind.keys().cloned().collect();
        let statuses = karat::engine::status::asset_statuses(&context.store, &context.definitions, &keys, now);
        for (key, status) in statuses.await.unwrap() {
            let accounted = PartitionSubset::from_ordinals(self.behind[&key].keys().copied());
            let partitions = &self.definitions.asset(&key).unwrap().partitions;
            assert_eq!(
                partitions.describe(&not_up_to_date(&status)),
                partitions.describe(&accounted),
                "{key}, at {now}"
            );
        }
    }
}

/// Missing, or stale for another reason than its code.
fn not_up_to_date(status: &AssetStatus) -> PartitionSubset {
    let stale = status.stale.iter().filter(|(_, reasons)| reasons.iter().any(|reason| *reason != Staleness::Code));
    PartitionSubset::from_ordinals(stale.map(|(&ordinal, _)| ordinal)).union(&status.missing)
}
