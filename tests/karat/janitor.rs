//! What keeps the state from growing without end, and what it must leave alone.

use std::time::Duration;

use karat::daemon::{Activation, Janitor, Reconciler, ReconcilerContext};
use karat::engine::logs::LogCollector;
use karat::store::garbage::Retention;
use karat::store::log::LogLine;
use karat::store::run::Control;

use crate::lake::{Lake, instant, listen};

const DAILY: &str = "lake.daily_totals";
const DAY: Duration = Duration::from_secs(86_400);

fn context(lake: &Lake) -> ReconcilerContext {
    ReconcilerContext { store: lake.store.clone(), definitions: lake.definitions.clone(), clock: lake.clock.clone() }
}

/// A janitor that is past its first minute.
async fn settled(lake: &Lake) -> Janitor {
    let mut janitor = Janitor::new(Retention::default());
    let first = janitor.activate(&context(lake)).await.unwrap();
    lake.clock.set(first.next_at.unwrap());
    janitor
}

async fn days(lake: &Lake) -> String {
    lake.text(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent in ('karat.attempt'::regclass, 'karat.event'::regclass, 'karat.log_line'::regclass)
           and c.relname !~ '_default$' order by 1",
    )
    .await
}

async fn statuses(lake: &Lake) -> String {
    lake.text(
        "select asset_key, partition_key, state from (
             select distinct on (asset_key, partition_key) asset_key, partition_key, state from karat.step
             order by asset_key, partition_key, step_id desc) newest
         where state in ('failed', 'blocked') order by 1, 2",
    )
    .await
}

#[tokio::test]
async fn what_happens_lies_in_days_and_goes_by_the_day() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    assert_eq!(
        days(&lake).await,
        "attempt_20260501\nattempt_20260502\nevent_20260501\nevent_20260502\nlog_line_20260501\nlog_line_20260502"
    );
    lake.add_event_a_day("2026-03-01", 5).await;
    lake.build(&[(DAILY, "2026-03-01..2026-03-05"), ("lake.troublesome", "fatal")]).await;
    assert_eq!(
        lake.text("select (select relname from pg_class where oid = attempt.tableoid) as day, outcome, count(*) from karat.attempt group by 1, 2 order by 2").await,
        "attempt_20260501 | failed | 1\nattempt_20260501 | succeeded | 5"
    );
    // The last day on which it is kept, then the first on which it is not.
    lake.clock.advance(DAY * 30);
    janitor.activate(&context(&lake)).await.unwrap();
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.attempt").await, 6);
    lake.clock.advance(DAY);
    let activation = janitor.activate(&context(&lake)).await.unwrap();
    assert_eq!(activation, Activation { report: Some("cleared 4 day tables".to_owned()), next_at: None });
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.attempt").await, 0);
    assert!(!days(&lake).await.contains("20260501"));
    // Why it failed is with the step.
    assert_eq!(
        lake.scalar::<String>("select reason from karat.step where state = 'failed'").await,
        "the answer is not 42"
    );
}

#[tokio::test]
async fn history_goes_when_it_is_old_and_nothing_current_does() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    lake.add_event_a_day("2026-03-01", 5).await;
    // Built twice, the second time with less; one that fails, one that fails and is repaired.
    lake.build(&[(DAILY, "2026-03-01..2026-03-05")]).await;
    lake.add_events(&[("2026-03-02T13:00:00Z", 90, -9)]).await;
    assert_eq!(lake.build(&[(DAILY, "2026-03-01..2026-03-02")]).await, "failed: 1 succeeded, 1 failed");
    assert_eq!(lake.build(&[("lake.troublesome", "fatal")]).await, "failed: 1 failed");
    lake.add_events(&[("2026-03-02T14:00:00Z", 91, 100)]).await;
    lake.add_events(&[("2026-03-03T14:00:00Z", 92, -100)]).await;
    assert_eq!(lake.build(&[(DAILY, "2026-03-03")]).await, "failed: 1 failed");
    let failed = statuses(&lake).await;
    assert_eq!(
        failed,
        "lake.daily_totals | 2026-03-02 | failed\nlake.daily_totals | 2026-03-03 | failed\nlake.troublesome | fatal | failed"
    );
    let current =
        lake.text("select partition_key, row_count, run_id from karat.materialization where current order by 1").await;
    lake.clock.advance(DAY * 91);
    let activation = janitor.activate(&context(&lake)).await.unwrap();
    assert_eq!(activation.report.unwrap(), "cleared 8 day tables, 1 replaced version, 14 check results, 6 steps");
    assert_eq!(statuses(&lake).await, failed);
    assert_eq!(
        lake.text("select partition_key, row_count, run_id from karat.materialization where current order by 1").await,
        current
    );
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.materialization where not current").await, 0);
    assert_eq!(
        lake.text("select partition_key, check_name, passed from karat.check_result order by 1").await,
        "2026-03-02 | amount_is_not_negative | false\n2026-03-03 | amount_is_not_negative | false"
    );
    // Repaired at last: then the failure goes as well, and the run that met it.
    assert_eq!(lake.build(&[(DAILY, "2026-03-02")]).await, "succeeded: 1 succeeded");
    lake.clock.advance(DAY);
    assert!(janitor.activate(&context(&lake)).await.unwrap().report.unwrap().contains("1 step"));
    assert_eq!(statuses(&lake).await, "lake.daily_totals | 2026-03-03 | failed\nlake.troublesome | fatal | failed");
    // A run that built something that is still there stays, without its steps.
    assert_eq!(
        lake.text(
            "select (select count(*) from karat.step s where s.run_id = r.run_id) as steps,
                    (select count(*) from karat.materialization m where m.run_id = r.run_id and current) as versions
             from karat.run r order by r.launch_number"
        )
        .await,
        "0 | 3\n0 | 1\n1 | 0\n1 | 0\n1 | 1"
    );
}

#[tokio::test]
async fn what_was_canceled_is_not_forgotten_and_so_not_begun_again() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    lake.add_event_a_day("2026-03-01", 2).await;
    let run = lake.launch(lake.request(&[(DAILY, "2026-03-01..2026-03-02")])).await;
    lake.store
        .control_runs(&[run.run_id], Control::Cancel, karat::clock::Clock::now(&*lake.clock), None)
        .await
        .unwrap();
    lake.work_off(run).await.unwrap();
    // One of them somebody asks for again.
    assert_eq!(lake.build(&[(DAILY, "2026-03-02")]).await, "succeeded: 1 succeeded");
    lake.clock.advance(DAY * 91);
    janitor.activate(&context(&lake)).await.unwrap();
    assert_eq!(lake.text("select partition_key, state from karat.step").await, "2026-03-01 | canceled");
}

#[tokio::test]
async fn what_was_repaired_does_not_look_failed_again() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    lake.add_events(&[("2026-03-02T13:00:00Z", 1, -9)]).await;
    // A run that fails and stays open for months, because somebody paused it and forgot it.
    let paused = lake.launch(lake.request(&[(DAILY, "2026-03-02"), ("lake.troublesome", "none")])).await;
    sqlx::query("update karat.step set state = 'failed', reason = 'no', finished_at = $1 where asset_key = $2")
        .bind(karat::clock::Clock::now(&*lake.clock))
        .bind(DAILY)
        .execute(&lake.pool)
        .await
        .unwrap();
    lake.add_events(&[("2026-03-02T14:00:00Z", 2, 100)]).await;
    assert_eq!(lake.build(&[(DAILY, "2026-03-02")]).await, "succeeded: 1 succeeded");
    assert_eq!(statuses(&lake).await, "");
    lake.clock.advance(DAY * 200);
    janitor.activate(&context(&lake)).await.unwrap();
    assert_eq!(statuses(&lake).await, "", "the success that hides the failure went before it");
    // When that run ends, both may go.
    lake.work_off(paused).await.unwrap();
    lake.clock.advance(DAY * 200);
    janitor.activate(&context(&lake)).await.unwrap();
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.step").await, 0);
}

#[tokio::test]
async fn a_partition_whose_run_is_forgotten_is_built_again_when_asked_for() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-03-01", 1).await;
    lake.build(&[(DAILY, "2026-03-01")]).await;
    sqlx::query("delete from karat.step").execute(&lake.pool).await.unwrap();
    sqlx::query("delete from karat.run").execute(&lake.pool).await.unwrap();
    assert_eq!(lake.build(&[(DAILY, "2026-03-01")]).await, "succeeded: 1 succeeded");
}

#[tokio::test]
async fn a_backlog_is_worked_off_in_portions() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    sqlx::query(
        "insert into karat.backfill select gen_random_uuid(), timestamptz '2025-01-01', '{}' from generate_series(1, 101000)",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    let first = janitor.activate(&context(&lake)).await.unwrap();
    let left = lake.scalar::<i64>("select count(*) from karat.backfill").await;
    assert!((1..101_000).contains(&left), "{left}");
    let next_at = first.next_at.unwrap();
    assert!(next_at > karat::clock::Clock::now(&*lake.clock), "others come in between");
    lake.clock.set(next_at);
    let second = janitor.activate(&context(&lake)).await.unwrap();
    assert_eq!(second.next_at, None);
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.backfill").await, 0);
    // History is looked through once a day.
    sqlx::query("insert into karat.backfill select gen_random_uuid(), timestamptz '2025-01-01', '{}'")
        .execute(&lake.pool)
        .await
        .unwrap();
    lake.clock.advance(Duration::from_secs(3_600));
    assert_eq!(janitor.activate(&context(&lake)).await.unwrap(), Activation::default());
    lake.clock.advance(DAY);
    assert!(janitor.activate(&context(&lake)).await.unwrap().report.is_some());
}

#[tokio::test]
async fn what_has_ended_in_quarantine_and_among_alerts_goes_and_what_has_not_stays() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    sqlx::query(
        "insert into karat.quarantine (asset_key, row_data, reason, writer, quarantined_at, released_at, discarded_at)
         select 'lake.events', '{}', kind, 'test', at, case kind when 'released' then at end, case kind when 'refused' then at end
         from unnest(array['released', 'refused', 'waiting']) as kind, (select timestamptz '2026-01-01' as at) moment",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into karat.alert (kind, subject, severity, title, explanation, command, opened_at, last_seen_at, recovered_at)
         select 'run_failed', subject, 'error', '', '', '', at, at, case subject when 'ended' then at end
         from unnest(array['ended', 'open']) as subject, (select timestamptz '2026-01-01' as at) moment",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    assert_eq!(janitor.activate(&context(&lake)).await.unwrap().report.unwrap(), "cleared 1 released row, 1 alert");
    assert_eq!(lake.text("select reason from karat.quarantine order by 1").await, "refused\nwaiting");
    assert_eq!(lake.text("select subject from karat.alert").await, "open");
}

#[tokio::test]
async fn marks_that_nothing_tells_apart_become_one() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    for id in 0..5 {
        lake.add_events(&[("2026-03-01T12:00:00Z", id, 1)]).await;
    }
    lake.build(&[(DAILY, "2026-03-01")]).await;
    lake.add_events(&[("2026-03-01T12:00:00Z", 9, 1)]).await;
    lake.clock.advance(DAY);
    assert_eq!(janitor.activate(&context(&lake)).await.unwrap().report.unwrap(), "cleared 4 marks");
    assert_eq!(
        lake.text("select row_count from karat.mark order by mark_id").await,
        "1\n5",
        "what was read, and what was not"
    );
}

#[tokio::test]
async fn a_log_that_is_being_read_is_left_for_later() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    lake.clock.advance(DAY * 40);
    let mut reader = lake.pool.begin().await.unwrap();
    sqlx::query("select from karat.event").execute(&mut *reader).await.unwrap();
    assert_eq!(
        janitor.activate(&context(&lake)).await.unwrap().report.unwrap(),
        "cleared 6 day tables",
        "those of attempts, log lines and ticks"
    );
    assert!(days(&lake).await.contains("event_20260501"));
    reader.rollback().await.unwrap();
    assert_eq!(janitor.activate(&context(&lake)).await.unwrap().report.unwrap(), "cleared 2 day tables");
}

#[tokio::test]
async fn the_steps_of_a_dead_worker_come_back_without_another_one() {
    let lake = Lake::open().await;
    let mut janitor = settled(&lake).await;
    lake.launch(lake.request(&[("lake.troublesome", "none")])).await;
    sqlx::query(
        "update karat.step set state = 'running', worker_id = gen_random_uuid(), lease_epoch = 1, attempts = 1",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    assert_eq!(janitor.activate(&context(&lake)).await.unwrap().report.unwrap(), "cleared 1 lost step");
    assert_eq!(lake.text("select state, attempts, losses from karat.step").await, "ready | 0 | 1");
}

#[tokio::test]
async fn the_log_of_a_run_has_a_limit_that_shows() {
    use tracing_subscriber::layer::SubscriberExt;
    let mut lake = Lake::open().await;
    lake.logs = LogCollector::with_run_limit(4_096);
    lake.settings.slots = 1;
    let subscriber = tracing_subscriber::registry().with(lake.logs.layer(lake.shared_clock()));
    let _guard = listen(subscriber);
    let mut request = lake.request(&[("lake.monthly_report", "2024-01..2025-12")]);
    request.force = true;
    let launched = lake.launch(request).await;
    // What another worker wrote counts as well.
    let line = LogLine {
        run_id: Some(launched.run_id),
        logged_at: instant("2026-05-01T12:00:00Z"),
        step_id: lake.scalar("select min(step_id) from karat.step").await,
        lease_epoch: 1,
        sequence: 1,
        level: "info".to_owned(),
        target: "another".to_owned(),
        message: "x".repeat(5_000),
        fields: serde_json::json!({}),
    };
    lake.store.append_log_lines(&[line]).await.unwrap();
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.outcome(launched).await, "succeeded: 24 succeeded");
    let said = lake.scalar::<i64>("select count(*) from karat.log_line where message like 'read the days%'").await;
    assert!(said < 12, "{said} of 24");
    assert_eq!(
        lake.scalar::<i64>(
            "select count(*) from karat.step s where exists (
                 select from karat.log_line l where l.step_id = s.step_id and (l.message like 'read the days%'
                     or l.level = 'warn' and l.message like 'dropped % further log lines: the log of a run is kept up to 4 kB'))"
        )
        .await,
        24,
        "each attempt shows what it said or that something is missing"
    );
    let kept = lake.store.run_log_bytes(launched.run_id).await.unwrap();
    assert!((5_000..20_000).contains(&kept), "{kept}");
}
