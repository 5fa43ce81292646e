//! Raises alerts for what failed and what stands still, and ends them when it is right again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::reconciler::{Activation, Reconciler, ReconcilerContext, ReconcilerError};
use crate::core::count::counted;
use crate::core::key::AssetKey;
use crate::core::time::time_text;
use crate::store::alert::{AlertKind, AlertRecord, NewAlert};
use crate::store::failure::{CheckFailure, RunFailure, Unsettled};
use crate::store::quarantine::QuarantineCount;
use crate::store::reconciler::ReconcilerRecord;
use crate::store::signal::Signal;

/// The longest time between two looks.
const INTERVAL: Duration = Duration::from_secs(120);

/// What should run by itself and did not for so long has stalled.
const STALLED: TimeDelta = TimeDelta::minutes(5);

/// No reconciler rests longer than an hour: one that has not been seen for so long hangs.
const HANGING: TimeDelta = TimeDelta::minutes(125);

/// How many failed runs are looked at together.
const RUNS: i64 = 100;

/// How many failed check results are looked at together.
const CHECK_RESULTS: i64 = 500;

/// How many partitions of an alert are looked at to see whether one is left.
const PARTITIONS: i64 = 200;

/// How much of a reason an alert repeats, in characters.
const REASON_CHARACTERS: usize = 700;

/// What stands for all reconcilers together.
const SCHEDULER: &str = "scheduler";

/// Raises alerts about failed runs, failed checks, rows in quarantine and reconcilers that stand still.
///
/// A run raises an alert when it failed, whatever caused it, and not when it was canceled: one for each asset of which
/// partitions failed, however many they are and however often they fail again. It ends when all of them have been built.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlertReconciler;

impl Reconciler for AlertReconciler {
    fn name(&self) -> &'static str {
        "alerts"
    }

    fn wakes_on(&self) -> &'static [Signal] {
        &[Signal::Published]
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn activate<'a>(
        &'a mut self,
        context: &'a ReconcilerContext,
    ) -> BoxFuture<'a, Result<Activation, ReconcilerError>> {
        Box::pin(activate(self.name(), context))
    }
}

async fn activate(own_name: &str, context: &ReconcilerContext) -> Result<Activation, ReconcilerError> {
    let (now, store) = (context.now(), &context.store);
    let mut opened = false;
    let kinds = [AlertKind::RunFailed, AlertKind::CheckFailed, AlertKind::SchedulerStalled, AlertKind::QuarantineGrew];
    // Mostly there is nothing, which one statement says.
    let news = store.alert_news(&kinds).await?;
    let runs = if news.run_failures { store.unseen_run_failures(RUNS).await? } else { Vec::new() };
    let checks = if news.check_failures { store.unseen_check_failures(CHECK_RESULTS).await? } else { Vec::new() };
    let seen_runs: BTreeSet<Uuid> = runs.iter().map(|failure| failure.run_id).collect();
    let is_more = as_limit(seen_runs.len()) == RUNS || as_limit(checks.len()) == CHECK_RESULTS;
    if !runs.is_empty() || !checks.is_empty() {
        let mut alerts = run_alerts(&runs);
        alerts.extend(check_alerts(&checks));
        let seen_runs: Vec<Uuid> = seen_runs.into_iter().collect();
        let seen_checks: Vec<i64> = checks.iter().map(|failure| failure.check_result_id).collect();
        opened |= store.raise_for_failures(&alerts, &seen_runs, &seen_checks, now).await?;
    }
    let open = if news.open_alerts || opened { store.open_alerts(&kinds).await? } else { Vec::new() };
    let mut standing = stalls(own_name, context, &store.reconcilers().await?);
    if news.quarantined {
        standing.extend(store.quarantine_counts().await?.values().map(|count| quarantine_alert(context, count)));
    }
    for alert in &standing {
        let known = open.iter().find(|open| open.kind == alert.kind.as_str() && open.subject == alert.subject);
        // What is known of it is kept up to date, and that is no news.
        if known.is_none_or(|known| alert.kind == AlertKind::QuarantineGrew && known.title != alert.title) {
            opened |= store.raise_alert(alert, now).await?;
        }
    }
    let mut over = settled(context, &open).await?;
    over.extend(
        open.iter()
            .filter(|alert| {
                [AlertKind::SchedulerStalled, AlertKind::QuarantineGrew].iter().any(|kind| kind.as_str() == alert.kind)
            })
            .filter(|alert| {
                !standing.iter().any(|still| still.kind.as_str() == alert.kind && still.subject == alert.subject)
            })
            .map(|alert| alert.alert_id),
    );
    let recovered = store.recover_alerts(&over, now).await?;
    if opened || recovered > 0 {
        store.signal(Signal::Alert).await?;
    }
    let said = [(opened, "raised alerts".to_owned()), (recovered > 0, format!("{recovered} recovered"))];
    let said: Vec<String> = said.into_iter().filter_map(|(holds, text)| holds.then_some(text)).collect();
    Ok(Activation { report: (!said.is_empty()).then(|| said.join(", ")), next_at: is_more.then_some(now) })
}

fn as_limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One alert for each asset that failed; where none did, for those that were blocked.
fn run_alerts(failures: &[RunFailure]) -> Vec<NewAlert> {
    let mut by_run: BTreeMap<Uuid, Vec<&RunFailure>> = BTreeMap::new();
    for failure in failures {
        by_run.entry(failure.run_id).or_default().push(failure);
    }
    let mut alerts = Vec::new();
    for failures in by_run.into_values() {
        let any_failed = failures.iter().any(|failure| failure.state.as_deref() == Some("failed"));
        let roots = failures.iter().filter(|failure| !any_failed || failure.state.as_deref() == Some("failed"));
        alerts.extend(roots.filter_map(|failure| run_alert(failure)));
    }
    alerts
}

fn run_alert(failure: &RunFailure) -> Option<NewAlert> {
    let (asset, partition) = (failure.asset_key.as_ref()?, failure.partition_key.as_ref()?);
    let which = match failure.partitions {
        1 => partition.clone(),
        count => format!("{count} partitions, first {partition}"),
    };
    let reason = failure.reason.as_deref().unwrap_or("no reason is known");
    Some(NewAlert {
        kind: AlertKind::RunFailed,
        subject: asset.clone(),
        title: format!("{asset} was not built: {which}"),
        explanation: format!("{}\nRun {}, cause: {}.", shortened(reason), failure.run_id, failure.cause),
        command: format!("why {asset} {partition}"),
        evidence_from: failure.first_step,
    })
}

/// One alert for each check; the newest failure is the one that is told.
fn check_alerts(failures: &[CheckFailure]) -> Vec<NewAlert> {
    failures
        .iter()
        .filter(|failure| failure.newest)
        .map(|failure| {
            let CheckFailure { asset_key, partition_key, check_name, .. } = failure;
            NewAlert {
                kind: AlertKind::CheckFailed,
                subject: format!("{asset_key} {check_name}"),
                title: format!("check `{check_name}` of {asset_key} {partition_key} failed"),
                explanation: format!(
                    "{}\nThe version was published: the check does not block.",
                    shortened(&failure.message)
                ),
                command: format!("why {asset_key} {partition_key}"),
                evidence_from: Some(failure.check_result_id),
            }
        })
        .collect()
}

/// One alert for each asset with rows that wait in quarantine; it ends when they are released or discarded.
fn quarantine_alert(context: &ReconcilerContext, count: &QuarantineCount) -> NewAlert {
    let asset = &count.asset_key;
    NewAlert {
        kind: AlertKind::QuarantineGrew,
        subject: asset.clone(),
        title: format!(
            "{} of {asset} came too late and {} in quarantine",
            counted(count.row_count, "row"),
            if count.row_count == 1 { "is" } else { "are" },
        ),
        explanation: format!(
            "The newest came at {}. They are in no table until they are released.",
            local(context, count.newest_at)
        ),
        command: format!("quarantine ls {asset}"),
        evidence_from: None,
    }
}

/// Alerts about runs and checks of which nothing is left. What is not defined any more cannot be put right, so it does
/// not count.
async fn settled(context: &ReconcilerContext, open: &[AlertRecord]) -> Result<Vec<i64>, ReconcilerError> {
    let of_kind = |kind: AlertKind| open.iter().filter(move |alert| alert.kind == kind.as_str());
    let mut left: BTreeSet<i64> = BTreeSet::new();
    if of_kind(AlertKind::RunFailed).next().is_some() {
        let subjects: BTreeMap<i64, &str> =
            of_kind(AlertKind::RunFailed).map(|alert| (alert.alert_id, alert.subject.as_str())).collect();
        for Unsettled { alert_id, partition_key, ordinal } in context.store.unbuilt_since_alerts(PARTITIONS).await? {
            let spec = subjects.get(&alert_id).and_then(|asset| asset.parse::<AssetKey>().ok());
            let spec = spec.and_then(|key| context.definitions.asset(&key));
            let exists = spec.is_some_and(|spec| match spec.partitions.as_time() {
                Some(_) => spec.partitions.contains(ordinal) && spec.partitions.key(ordinal).as_str() == partition_key,
                None => partition_key.parse().is_ok_and(|key| spec.partitions.ordinal(&key).is_ok()),
            });
            if exists {
                left.insert(alert_id);
            }
        }
    }
    if of_kind(AlertKind::CheckFailed).next().is_some() {
        let unpassed = context.store.unpassed_since_alerts(PARTITIONS).await?;
        let unpassed: BTreeSet<i64> = unpassed.into_iter().map(|unsettled| unsettled.alert_id).collect();
        let is_defined = |alert: &&AlertRecord| {
            let (asset, check) = alert.subject.split_once(' ').unwrap_or_default();
            let spec = asset.parse::<AssetKey>().ok().and_then(|key| context.definitions.asset(&key));
            spec.is_some_and(|spec| spec.checks.iter().any(|declared| declared.name == check))
        };
        let defined = of_kind(AlertKind::CheckFailed).filter(is_defined).map(|alert| alert.alert_id);
        left.extend(defined.filter(|alert_id| unpassed.contains(alert_id)));
    }
    let ours = of_kind(AlertKind::RunFailed).chain(of_kind(AlertKind::CheckFailed)).map(|alert| alert.alert_id);
    Ok(ours.filter(|alert_id| !left.contains(alert_id)).collect())
}

/// What stands still: a reconciler that fails for some time or hangs; and after nobody led for some time, that.
fn stalls(own_name: &str, context: &ReconcilerContext, reconcilers: &[ReconcilerRecord]) -> Vec<NewAlert> {
    let now = context.now();
    let own = reconcilers.iter().find(|reconciler| reconciler.name == own_name);
    let mut stalls = Vec::new();
    let interval = TimeDelta::from_std(INTERVAL).unwrap_or(STALLED);
    if let Some(last) = own.and_then(|own| own.succeeded_at).filter(|&last| now - last > interval + STALLED) {
        stalls.push(NewAlert {
            kind: AlertKind::SchedulerStalled,
            subject: SCHEDULER.to_owned(),
            title: format!("nothing ran by itself from {} to {}", local(context, last), local(context, now)),
            explanation:
                "No process led in this time: schedules, automation and alerts stood still. What was missed is \
                          made up for as each schedule says."
                    .to_owned(),
            command: "worker ls".to_owned(),
            evidence_from: None,
        });
    }
    for reconciler in reconcilers.iter().filter(|reconciler| reconciler.name != own_name) {
        let since = reconciler.succeeded_at.map_or_else(
            || "it never succeeded".to_owned(),
            |at| format!("it last succeeded at {}", local(context, at)),
        );
        let fails = reconciler.error.as_deref().filter(|_| reconciler.succeeded_at.is_none_or(|at| now - at > STALLED));
        // One that this leader never activated belongs to another program.
        let is_current = own.is_some_and(|own| own.worker_id == reconciler.worker_id);
        let hangs = is_current && now - reconciler.finished_at.unwrap_or(reconciler.started_at) > HANGING;
        let explanation = match fails {
            Some(error) => format!("It fails: {}", shortened(error)),
            None if hangs => "It does not come back.".to_owned(),
            None => continue,
        };
        stalls.push(NewAlert {
            kind: AlertKind::SchedulerStalled,
            subject: reconciler.name.clone(),
            title: format!("the {} stands still: {since}", reconciler.name),
            explanation,
            command: "worker ls".to_owned(),
            evidence_from: None,
        });
    }
    stalls
}

/// An instant as people of the calendar's zone read it.
pub(super) fn local(context: &ReconcilerContext, instant: DateTime<Utc>) -> String {
    time_text(instant, context.definitions.calendar().zone)
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(REASON_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
