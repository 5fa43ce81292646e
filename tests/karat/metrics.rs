//! What Prometheus is told.

use std::time::Duration;

use karat::clock::Clock;
use karat::engine::WorkerSettings;
use karat::engine::measure::Measures;
use karat::service::{Extent, LaunchKind, Process, Request, Service};
use tokio_util::sync::CancellationToken;

use crate::http::{Pages, service};
use crate::service_lake::Lake;

/// The service of an installation in which a few days were built, and the process that built them.
pub(crate) async fn built(lake: &Lake) -> (Service, Process) {
    lake.record(1, 5, 3).await;
    let service = service(lake, &lake.database.connect_options());
    let process = Process { version: "1.2.3", measures: Measures::default(), ..Process::default() };
    let request = Request::new("lake.daily", Extent::Text("2026-03-01..2026-03-05".to_owned()));
    let launched = service.launch(&request, LaunchKind::Backfill).await.unwrap();
    let settings = WorkerSettings { measures: process.measures.clone(), ..WorkerSettings::default() };
    let worker = service.worker(lake.logs.clone(), settings);
    worker.work_off(&[launched.run_id], &CancellationToken::new()).await.unwrap();
    (service, process)
}

/// The lines about the metrics whose names begin so.
fn lines(text: &str, names: &[&str]) -> String {
    let wanted = text.lines().filter(|line| {
        names.iter().any(|name| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with(name))
    });
    wanted.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_process_counts_what_it_did() {
    let lake = Lake::new().await;
    let (service, process) = built(&lake).await;
    let pages = Pages::of(service, process).await;
    let text = pages.get("/metrics").await.text().await.unwrap();
    insta::assert_snapshot!(lines(&text, &["karat_attempts", "karat_published", "karat_runs", "karat_lost", "karat_build"]), @r#"
    # HELP karat_build_info The program's version
    # TYPE karat_build_info gauge
    karat_build_info{version="1.2.3"} 1.0
    # HELP karat_attempts_total Attempts of this process by asset and how they ended
    # TYPE karat_attempts_total counter
    karat_attempts_total{asset="lake.daily",outcome="succeeded"} 1.0
    # HELP karat_published_partitions_total Partitions this process published, by asset
    # TYPE karat_published_partitions_total counter
    karat_published_partitions_total{asset="lake.daily"} 5.0
    # HELP karat_runs_ended_total Runs this process saw end, by outcome and cause
    # TYPE karat_runs_ended_total counter
    karat_runs_ended_total{outcome="succeeded",cause="backfill"} 1.0
    # HELP karat_lost_leases_total Steps this process took from dead workers, or lost to others while it built them
    # TYPE karat_lost_leases_total counter
    karat_lost_leases_total 0.0
    "#);
    let durations =
        lines(&text, &["karat_attempt_duration_seconds_count", "karat_attempt_duration_seconds_bucket{le=\"+Inf\""]);
    insta::assert_snapshot!(durations, @r#"
    karat_attempt_duration_seconds_count{asset="lake.daily"} 1
    karat_attempt_duration_seconds_bucket{le="+Inf",asset="lake.daily"} 1
    "#);
}

#[tokio::test]
async fn the_queue_is_told_by_length_and_age() {
    let lake = Lake::new().await;
    let (service, process) = built(&lake).await;
    let request = Request::new("lake.daily", Extent::Text("2026-03-01..2026-03-03".to_owned()));
    service.launch(&request, LaunchKind::Backfill).await.unwrap();
    sqlx::query(
        "update karat.step set state = 'ready', ready_at = '2026-03-20T09:59:18Z' where state in ('pending', 'ready')",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    let pages = Pages::of(service, process).await;
    let text = pages.get("/metrics").await.text().await.unwrap();
    insta::assert_snapshot!(lines(&text, &["karat_runs_live", "karat_steps_open", "karat_queue", "karat_pool_", "karat_worker", "karat_log"]), @r#"
    # HELP karat_runs_live Runs that have not ended, by cause and state
    # TYPE karat_runs_live gauge
    karat_runs_live{cause="backfill",state="running"} 1.0
    # HELP karat_steps_open Steps that have not ended, by asset and state
    # TYPE karat_steps_open gauge
    karat_steps_open{asset="lake.daily",state="ready"} 3.0
    # HELP karat_queue_steps Steps that wait for nothing but a worker
    # TYPE karat_queue_steps gauge
    karat_queue_steps 3.0
    # HELP karat_queue_oldest_age_seconds How long the first of them has waited
    # TYPE karat_queue_oldest_age_seconds gauge
    karat_queue_oldest_age_seconds 42.0
    # HELP karat_log_oldest_timestamp_seconds The first day of which the log is kept, in seconds since 1970
    # TYPE karat_log_oldest_timestamp_seconds gauge
    karat_log_oldest_timestamp_seconds{log="event"} 1774051200.0
    karat_log_oldest_timestamp_seconds{log="log_line"} 1773964800.0
    "#);
}

#[tokio::test]
async fn freshness_and_ticks_are_figures_per_asset_and_schedule() {
    let lake = Lake::new().await;
    let (service, process) = built(&lake).await;
    let pages = Pages::of(service, process).await;
    let text = pages.get("/metrics").await.text().await.unwrap();
    insta::assert_snapshot!(lines(&text, &["karat_schedule_"]), @r#"
    # HELP karat_schedule_next_tick_timestamp_seconds When the schedule fires next, in seconds since 1970; missing while it is paused
    # TYPE karat_schedule_next_tick_timestamp_seconds gauge
    karat_schedule_next_tick_timestamp_seconds{schedule="nightly"} 1774059300.0
    "#);
    insta::assert_snapshot!(lines(&text, &["karat_asset_"]), @r#"
    # HELP karat_asset_freshness How the asset keeps its freshness policy: 1 for the state that holds, 0 for the others
    # TYPE karat_asset_freshness gauge
    karat_asset_freshness{asset="lake.daily",state="unknown"} 0.0
    karat_asset_freshness{asset="lake.daily",state="pass"} 0.0
    karat_asset_freshness{asset="lake.daily",state="warn"} 0.0
    karat_asset_freshness{asset="lake.daily",state="fail"} 1.0
    # HELP karat_asset_overdue_seconds For how long the asset has broken its freshness policy; 0 when it keeps it
    # TYPE karat_asset_overdue_seconds gauge
    karat_asset_overdue_seconds{asset="lake.daily"} 1054800.0
    "#);
}

#[tokio::test]
async fn rows_that_automation_has_not_looked_at_are_told_with_their_age() {
    let lake = Lake::new().await;
    let (service, process) = built(&lake).await;
    sqlx::query(
        "insert into karat.reconciler (name, worker_id, started_at, finished_at, succeeded_at)
         values ('automation', gen_random_uuid(), $1, $1, $1)",
    )
    .bind(lake.clock.now())
    .execute(&lake.pool)
    .await
    .unwrap();
    lake.clock.advance(Duration::from_secs(30));
    lake.record(3, 4, 5).await;
    lake.clock.advance(Duration::from_secs(12));
    let pages = Pages::of(service, process).await;
    let text = pages.get("/metrics").await.text().await.unwrap();
    insta::assert_snapshot!(lines(&text, &["karat_mark"]), @r#"
    # HELP karat_marks_waiting_rows Rows that landed in the external asset and that automation has not looked at
    # TYPE karat_marks_waiting_rows gauge
    karat_marks_waiting_rows{asset="lake.events"} 4.0
    # HELP karat_mark_lag_seconds How long the first of them has waited
    # TYPE karat_mark_lag_seconds gauge
    karat_mark_lag_seconds{asset="lake.events"} 12.0
    "#);
}
