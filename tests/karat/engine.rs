//! Building partitions: what is published, what is skipped, what a failure leaves.

use std::sync::Arc;
use std::time::Duration;

use karat::core::status::Staleness;
use karat::engine::launch::{LaunchError, launch};
use karat::engine::status::asset_statuses;
use karat::prelude::Definitions;
use karat::store::run::Control;
use tokio_util::sync::CancellationToken;

use crate::lake::{self, Lake, beside, instant};

const DAILY: &str = "lake.daily_totals";
const MONTHLY: &str = "lake.monthly_report";

#[tokio::test]
async fn builds_days_in_one_statement_and_the_month_above_them() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    assert_eq!(lake.build(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]).await, "succeeded: 32 succeeded");
    assert_eq!(lake.text("select * from lake.monthly_report").await, "2026-03-01 | 31 | 496");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization where current").await, 32);
    assert_eq!(lake.scalar::<i64>("select max(range_size)::bigint from karat.attempt").await, 31);
    // A day without events is a partition too: published, with no row.
    assert_eq!(lake.build(&[(DAILY, "2026-04-01")]).await, "succeeded: 1 succeeded");
    assert_eq!(
        lake.text("select row_count, data_version from karat.materialization where partition_key = '2026-04-01'").await,
        "0 | 0:0000000000000000"
    );
}

#[tokio::test]
async fn assets_side_by_side_are_each_built_in_one_statement() {
    let mut lake = Lake::open().await;
    // Another asset over the same events.
    sqlx::query("create table lake.daily_sums (like lake.daily_totals including all)")
        .execute(&lake.pool)
        .await
        .unwrap();
    let mut specs: Vec<_> = lake.definitions.assets().map(|spec| (**spec).clone()).collect();
    let mut sums = (**lake.definitions.find(DAILY).unwrap()).clone();
    sums.key = "lake.daily_sums".parse().unwrap();
    specs.push(sums);
    let calendar = lake::calendar(chrono_tz::Europe::Berlin);
    lake.definitions = Arc::new(Definitions::from_specs(calendar, specs, lake.definitions.pools().clone()).unwrap());
    lake.add_event_a_day("2026-03-01", 31).await;
    let plan = [(DAILY, "2026-03"), (MONTHLY, "2026-03"), ("lake.daily_sums", "2026-03")];
    assert_eq!(lake.build(&plan).await, "succeeded: 63 succeeded");
    assert_eq!(
        lake.text(
            "select asset_key, range_size, count(*) from karat.attempt join karat.step using (step_id)
             group by 1, 2 order by 1, 2"
        )
        .await,
        "lake.daily_sums | 31 | 31\nlake.daily_totals | 31 | 31\nlake.monthly_report | 1 | 1"
    );
}

#[tokio::test]
async fn a_local_day_has_its_own_events_only() {
    let lake = Lake::open().await;
    // Berlin's 2026-03-29 is [03-28 23:00Z, 03-29 22:00Z).
    lake.add_events(&[
        ("2026-03-28T22:59:59Z", 1, 1),
        ("2026-03-28T23:00:00Z", 2, 10),
        ("2026-03-29T21:59:59Z", 3, 100),
        ("2026-03-29T22:00:00Z", 4, 1000),
    ])
    .await;
    lake.build(&[(DAILY, "2026-03-28..2026-03-30")]).await;
    assert_eq!(
        lake.text("select * from lake.daily_totals order by day").await,
        "2026-03-28 | 1 | 1\n2026-03-29 | 2 | 110\n2026-03-30 | 1 | 1000"
    );
}

#[tokio::test]
async fn one_partition_at_a_time_gives_the_same_versions_as_a_range() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 20).await;
    let versions = "select partition_key, row_count, data_version from karat.materialization where current order by 1";
    lake.build(&[(DAILY, "2026-03-01..2026-03-20")]).await;
    let ranged = lake.text(versions).await;
    let mut request = lake.request(&[(DAILY, "2026-03-01..2026-03-20")]);
    request.per_partition = true;
    let launched = lake.launch(request).await;
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.text(versions).await, ranged);
    assert_eq!(
        lake.text("select distinct range_size from karat.attempt join karat.step using (step_id) join karat.run using (run_id) where per_partition").await,
        "1"
    );
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization where not content_changed").await, 20);
}

#[tokio::test]
async fn missing_upstream_is_refused_with_the_list() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    lake.build(&[(DAILY, "2026-03-03..2026-03-31")]).await;
    let now = instant("2026-05-01T12:00:00Z");
    let refused = launch(&lake.store, &lake.definitions, lake.request(&[(MONTHLY, "2026-03")]), now).await;
    assert!(matches!(&refused, Err(LaunchError::MissingInputs(_))));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "missing upstream: lake.daily_totals 2026-03-01..2026-03-02 (2 partitions). \
         Add `--upstream` to build them first, or `--force` to build without them"
    );
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.run").await, 1);
    // By force it is built, and says of itself that it is incomplete.
    let mut request = lake.request(&[(MONTHLY, "2026-03")]);
    request.force = true;
    let launched = lake.launch(request).await;
    lake.work_off(launched).await.unwrap();
    assert_eq!(
        lake.text("select incomplete_inputs from karat.materialization where asset_key = 'lake.monthly_report'").await,
        r#"{"lake.daily_totals": "2026-03-01..2026-03-02 (2 partitions)"}"#
    );
    let keys = ["lake.monthly_report".parse().unwrap()];
    let statuses = asset_statuses(&lake.store, &lake.definitions, &keys, now).await.unwrap();
    let reasons: Vec<_> = statuses[&keys[0]].stale.values().flatten().cloned().collect();
    assert_eq!(reasons, [Staleness::IncompleteInputs]);
}

#[tokio::test]
async fn external_assets_are_not_built() {
    let lake = Lake::open().await;
    let now = instant("2026-05-01T12:00:00Z");
    let refused = launch(&lake.store, &lake.definitions, lake.request(&[("lake.events", "2026-03-01")]), now).await;
    assert!(refused.unwrap_err().to_string().starts_with("lake.events is external"));
}

#[tokio::test]
async fn late_rows_make_exactly_their_readers_stale_and_equal_content_stops_the_wave() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    lake.build(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]).await;
    let keys = [DAILY.parse().unwrap(), MONTHLY.parse().unwrap()];
    let now = instant("2026-05-01T12:00:00Z");
    let stale = async |lake: &Lake| {
        let statuses = asset_statuses(&lake.store, &lake.definitions, &keys, now).await.unwrap();
        keys.iter()
            .map(|key| lake.definitions.asset(key).unwrap().partitions.describe(&statuses[key].stale_partitions()))
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert_eq!(stale(&lake).await, "no partitions; no partitions");
    // The same rows once more: nothing is new, nothing is marked.
    lake.add_event_a_day("2026-03-01", 31).await;
    assert_eq!(stale(&lake).await, "no partitions; no partitions");
    let appended = lake.add_events(&[("2026-03-10T18:00:00Z", 100, 0), ("2026-03-10T12:00:00Z", 9, 10)]).await;
    assert_eq!((appended.inserted, appended.duplicates), (1, 1));
    assert_eq!(stale(&lake).await, "2026-03-10 (1 partition); no partitions");
    lake.build(&[(DAILY, "2026-03-10")]).await;
    assert_eq!(stale(&lake).await, "no partitions; 2026-03 (1 partition)");
    // Rebuilding without a change of content leaves what reads it fresh.
    lake.build(&[(MONTHLY, "2026-03")]).await;
    lake.build(&[(DAILY, "2026-03-10")]).await;
    assert_eq!(stale(&lake).await, "no partitions; no partitions");
}

#[tokio::test]
async fn fresh_partitions_are_skipped_when_asked_to() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    lake.build(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]).await;
    lake.add_events(&[("2026-03-10T18:00:00Z", 100, 5)]).await;
    let mut request = lake.request(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]);
    request.only_if_stale = request.plan.keys().cloned().collect();
    let launched = lake.launch(request).await;
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.outcome(launched).await, "succeeded: 2 succeeded, 30 skipped");
    assert_eq!(lake.text("select * from lake.monthly_report").await, "2026-03-01 | 31 | 501");
}

#[tokio::test]
async fn a_failing_blocking_check_keeps_the_old_version_and_blocks_only_what_reads_it() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    lake.add_event_a_day("2026-04-01", 30).await;
    lake.build(&[(DAILY, "2026-03..2026-04"), (MONTHLY, "2026-03..2026-04")]).await;
    lake.add_events(&[("2026-03-10T18:00:00Z", 100, -1000), ("2026-04-10T18:00:00Z", 101, 7)]).await;
    assert_eq!(
        lake.build(&[(DAILY, "2026-03..2026-04"), (MONTHLY, "2026-03..2026-04")]).await,
        "failed: 61 succeeded, 1 failed, 1 blocked"
    );
    assert_eq!(lake.text("select * from lake.daily_totals where day = '2026-03-10'").await, "2026-03-10 | 1 | 10");
    assert_eq!(
        lake.text("select asset_key, partition_key, state, reason from karat.step where state in ('failed', 'blocked') order by 1").await,
        "lake.daily_totals | 2026-03-10 | failed | check amount_is_not_negative: 1 offending row; the version before stays\n\
         lake.monthly_report | 2026-03 | blocked | upstream lake.daily_totals was not built: 2026-03-10 (1 partition)"
    );
    assert_eq!(
        lake.text("select partition_key, check_name, passed, offending_rows from karat.check_result where not passed")
            .await,
        "2026-03-10 | amount_is_not_negative | false | 1"
    );
    assert_eq!(
        lake.text("select * from lake.monthly_report where month = '2026-04-01'").await,
        "2026-04-01 | 30 | 472"
    );
}

#[tokio::test]
async fn ways_to_go_wrong_are_failed_steps_and_nothing_else() {
    let mut lake = Lake::open().await;
    lake.settings.slots = 2;
    let outcome = lake.build(&[("lake.troublesome", "none,panics,fatal,retryable,recovers,other_partition")]).await;
    assert_eq!(outcome, "failed: 2 succeeded, 4 failed");
    assert_eq!(lake.text("select kind from lake.troublesome order by 1").await, "none\nrecovers");
    let reasons =
        lake.text("select partition_key, attempts, reason from karat.step where state = 'failed' order by 1").await;
    let reasons: Vec<&str> = reasons.lines().collect();
    assert_eq!(reasons[0], "fatal | 1 | the answer is not 42");
    assert!(
        reasons[1].starts_with("other_partition | 1 | 1 row of lake.troublesome outside partition other_partition")
    );
    assert!(reasons[2].starts_with("panics | 1 | the asset panicked at tests/karat/lake.rs:"));
    assert!(reasons[2].ends_with("the flux capacitor is empty"));
    assert_eq!(reasons[3], "retryable | 3 | the line is busy");
    assert!(
        lake.scalar::<bool>(
            "select backtrace like '%lake::Troublesome%' from karat.attempt where error_kind = 'panic'"
        )
        .await
    );
    assert_eq!(
        lake.text("select outcome, count(*) from karat.attempt join karat.step using (step_id) where partition_key = 'recovers' group by 1 order by 1").await,
        "failed | 2\nsucceeded | 1"
    );
}

#[tokio::test]
async fn what_postgres_cannot_store_of_a_reason_does_not_keep_a_step_running() {
    let lake = Lake::open().await;
    let outcome = tokio::time::timeout(Duration::from_secs(20), lake.build(&[("lake.troublesome", "zero_byte")]));
    assert_eq!(outcome.await.unwrap(), "failed: 1 failed");
    assert_eq!(lake.text("select attempts, reason from karat.step").await, "1 | the file begins with `\u{fffd}`");
    assert_eq!(lake.text("select error from karat.attempt").await, "the file begins with `\u{fffd}`");
}

#[tokio::test]
async fn what_an_asset_says_is_kept_with_its_step() {
    use tracing_subscriber::layer::SubscriberExt;
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    let subscriber = tracing_subscriber::registry().with(lake.logs.layer(lake.shared_clock()));
    let _guard = lake::listen(subscriber);
    lake.build(&[(DAILY, "2026-03"), (MONTHLY, "2026-03")]).await;
    assert_eq!(
        lake.text(
            "select s.asset_key, l.level, l.message, l.fields from karat.log_line l join karat.step s using (step_id)
             where l.target like '%lake%'"
        )
        .await,
        r#"lake.monthly_report | info | read the days of 2026-03 | {"days": 31}"#
    );
    assert_eq!(
        lake.text("select metadata from karat.materialization where metadata is not null").await,
        r#"{"days": 31}"#
    );
}

#[tokio::test]
async fn canceling_stops_the_statement_on_the_server() {
    let mut lake = Lake::open().await;
    lake.settings.heartbeat = Duration::from_millis(50);
    let launched = lake.launch(lake.request(&[("lake.sleepy", "all"), ("lake.troublesome", "hangs")])).await;
    let worker = lake.worker();
    let store = lake.store.clone();
    let pool = lake.pool.clone();
    let cancel = async {
        loop {
            let sleeping: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and datname = current_database() and pid <> pg_backend_pid()",
            )
            .fetch_one(&pool)
            .await
            .unwrap();
            if sleeping == 1 {
                break;
            }
            tokio::task::yield_now().await;
        }
        store.control_runs(&[launched.run_id], Control::Cancel, instant("2026-05-01T12:00:00Z"), None).await.unwrap();
    };
    let stop = CancellationToken::new();
    let runs = [launched.run_id];
    beside(worker.work_off(&runs, &stop), cancel).await;
    assert_eq!(lake.outcome(launched).await, "canceled: 2 canceled");
    assert_eq!(
        lake.scalar::<i64>("select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and datname = current_database() and pid <> pg_backend_pid()").await,
        0
    );
}

#[tokio::test]
async fn paused_runs_wait_and_canceled_ones_start_nothing() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 31).await;
    let launched = lake.launch(lake.request(&[(DAILY, "2026-03")])).await;
    let now = instant("2026-05-01T12:00:00Z");
    assert_eq!(
        lake.store.control_runs(&[launched.run_id], Control::Pause, now, None).await.unwrap(),
        [launched.run_id]
    );
    assert_eq!(lake.outcome(launched).await, "paused: 31 ready");
    assert_eq!(
        lake.store.control_runs(&[launched.run_id], Control::Resume, now, None).await.unwrap(),
        [launched.run_id]
    );
    assert_eq!(
        lake.store.control_runs(&[launched.run_id], Control::Cancel, now, None).await.unwrap(),
        [launched.run_id]
    );
    assert_eq!(
        lake.store.control_runs(&[launched.run_id], Control::Cancel, now, None).await.unwrap(),
        Vec::<uuid::Uuid>::new()
    );
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.outcome(launched).await, "canceled: 31 canceled");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.attempt").await, 0);
}

#[tokio::test]
async fn a_stopped_worker_hands_its_steps_back() {
    let lake = Lake::open().await;
    let launched = lake.launch(lake.request(&[("lake.sleepy", "all")])).await;
    let stop = CancellationToken::new();
    let worker = lake.worker();
    let runs = [launched.run_id];
    let ask = async {
        while lake.scalar::<i64>("select count(*) from karat.step where state = 'running'").await == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    beside(worker.work_off(&runs, &stop), ask).await;
    assert_eq!(lake.text("select state, attempts from karat.step").await, "ready | 0");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.worker").await, 0);
}

#[tokio::test]
async fn a_changed_definition_is_stale_by_code() {
    let mut lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 3).await;
    lake.build(&[(DAILY, "2026-03-01..2026-03-03")]).await;
    // The same assets in another zone: every day means something else.
    lake.definitions = Arc::new(lake::definitions(chrono_tz::UTC));
    let keys = [DAILY.parse().unwrap()];
    let statuses =
        asset_statuses(&lake.store, &lake.definitions, &keys, instant("2026-05-01T12:00:00Z")).await.unwrap();
    assert_eq!(statuses[&keys[0]].stale.len(), 3);
    assert!(statuses[&keys[0]].stale.values().all(|reasons| reasons == &[Staleness::Code]));
}

#[tokio::test]
async fn the_current_partition_is_open_until_it_closes() {
    let lake = Lake::open().await;
    lake.add_events(&[("2026-05-01T08:00:00Z", 1, 1)]).await;
    lake.build(&[(DAILY, "2026-05-01")]).await;
    let keys = [DAILY.parse().unwrap()];
    let at = async |now: &str| {
        let statuses = asset_statuses(&lake.store, &lake.definitions, &keys, instant(now)).await.unwrap();
        let status = &statuses[&keys[0]];
        (status.open.len(), status.fresh.len(), status.stale.values().flatten().cloned().collect::<Vec<_>>())
    };
    assert_eq!(at("2026-05-01T12:00:00Z").await, (1, 1, vec![]));
    assert_eq!(at("2026-05-01T22:00:00Z").await, (0, 0, vec![Staleness::PublishedEarly]));
}

#[test]
fn dropped_log_lines_are_counted_for_the_step_that_said_them() {
    use tracing_subscriber::layer::SubscriberExt;
    let logs = karat::engine::logs::LogCollector::default();
    let clock = Arc::new(karat::clock::ManualClock::new(instant("2026-05-01T12:00:00Z")));
    let subscriber = tracing_subscriber::registry().with(logs.layer(clock));
    let _guard = lake::listen(subscriber);
    let step = |step_id: i64| tracing::info_span!(target: "karat::step", "step", step_id, lease_epoch = 1_i64);
    step(1).in_scope(|| (0..10_001).for_each(|line| tracing::info!(line)));
    step(2).in_scope(|| (0..5).for_each(|line| tracing::info!(line)));
    let lines = logs.take();
    assert_eq!(lines.iter().filter(|line| line.step_id == 1).count(), 10_001);
    let of_second: Vec<&str> =
        lines.iter().filter(|line| line.step_id == 2).map(|line| line.message.as_str()).collect();
    assert_eq!(of_second, ["dropped 5 further log lines, faster than could be kept"]);
    // Neither many lines nor long ones: what waits is bounded in bytes too.
    let long = "x".repeat(8_000);
    step(3).in_scope(|| (0..5_000).for_each(|_| tracing::info!("{long}")));
    assert!((1_000..4_000).contains(&logs.take().len()));
    assert!(logs.take().is_empty());
}
