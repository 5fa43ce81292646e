//! Lists that pages show: every choice of filters gives what it says, page by page.

use std::sync::Arc;

use karat::clock::Clock;
use karat::prelude::*;
use karat::service::{HeatState, PartitionQuery, PictureKeeper, RunQuery, RunView, Service};
use karat::store::Store;
use karat::store::launch::RunCause;
use karat::store::migrate::Migrations;
use karat::store::run::Control;
use karat::store::run_detail::LogFilter;

use crate::lake::{DailyTotals, Lake, MonthlyReport, instant, request_of};

fn service(lake: &Lake) -> Service {
    let migrations = Arc::new(Migrations::karat());
    Service::new(lake.pool.clone(), lake.options.clone(), lake.definitions.clone(), migrations, lake.clock.clone())
}

/// Runs of several causes, assets, people and outcomes, an hour apart.
async fn with_runs() -> Lake {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-04-01", 20).await;
    lake.add_events(&[("2026-04-03T10:00:00Z", 900, -5)]).await;
    let causes = [RunCause::Manual, RunCause::Schedule, RunCause::Automation];
    for number in 0..18_usize {
        let (asset, keys) = match number % 3 {
            0 => ("lake.daily_totals", "2026-04-02..2026-04-04"),
            1 => ("lake.daily_totals", "2026-04-10"),
            _ => ("lake.troublesome", if number % 2 == 0 { "fatal" } else { "none" }),
        };
        let mut request = request_of(lake.plan(&[(asset, keys)]), causes[number % 3], false);
        request.cause = causes[(number / 2) % 3];
        request.requested_by = (number % 4 == 0).then(|| "ada".to_owned());
        let launched = lake.launch(request).await;
        match number {
            0..14 => lake.work_off(launched).await.unwrap(),
            14 => {
                lake.store.control_runs(&[launched.run_id], Control::Cancel, lake.clock.now(), None).await.unwrap();
                lake.store.finish_run(launched.run_id, lake.clock.now()).await.unwrap();
            }
            15 => {
                drop(lake.store.control_runs(&[launched.run_id], Control::Pause, lake.clock.now(), None).await.unwrap())
            }
            _ => {}
        }
        lake.clock.advance(std::time::Duration::from_secs(3600));
    }
    lake
}

/// All pages of three runs each, one after the other.
async fn paged(service: &Service, query: &RunQuery) -> Vec<RunView> {
    let mut query = RunQuery { limit: 3, ..query.clone() };
    let mut runs = Vec::new();
    loop {
        let page = service.run_page(&query).await.unwrap();
        assert!(page.runs.len() <= 3);
        runs.extend(page.runs);
        match page.next {
            Some(next) => query.before = Some(next),
            None => return runs,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_choice_of_runs_is_a_part_of_the_list() {
    let lake = with_runs().await;
    let service = service(&lake);
    let all = paged(&service, &RunQuery::default()).await;
    assert_eq!(all.len(), 18);
    assert!(all.windows(2).all(|pair| pair[0].run_id > pair[1].run_id));
    let states: std::collections::BTreeSet<&str> = all.iter().map(|run| run.state.as_str()).collect();
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["canceled", "failed", "paused", "queued", "succeeded"]);
    let option = |values: &[&str]| -> Vec<Option<String>> {
        std::iter::once(None).chain(values.iter().map(|value| Some((*value).to_owned()))).collect()
    };
    let built: std::collections::BTreeSet<(uuid::Uuid, String, String)> =
        sqlx::query_as::<_, (uuid::Uuid, String, String)>("select run_id, asset_key, partition_key from karat.step")
            .fetch_all(&lake.pool)
            .await
            .unwrap()
            .into_iter()
            .collect();
    let since = instant("2026-05-01T18:00:00Z");
    let mut found = 0;
    for state in option(&["succeeded", "failed", "canceled", "live", "paused", "queued", "running"]) {
        for cause in option(&["manual", "schedule", "sensor"]) {
            for (asset, partition) in [
                (None, None),
                (Some("lake.daily_totals"), None),
                (Some("lake.daily_totals"), Some("2026-04-03")),
                (Some("lake.sleepy"), None),
            ] {
                for (requested_by, since) in [(None, None), (Some("ada"), None), (None, Some(since))] {
                    let query = RunQuery {
                        state: state.clone(),
                        cause: cause.clone(),
                        asset: asset.map(str::to_owned),
                        partition: partition.map(str::to_owned),
                        requested_by: requested_by.map(str::to_owned),
                        since,
                        until: since.map(|since| since + chrono::TimeDelta::hours(6)),
                        ..RunQuery::default()
                    };
                    let fits = |run: &&RunView| {
                        let is_live = run.finished_at.is_none();
                        let builds = |partition: Option<&str>| {
                            built.iter().any(|(run_id, asset_key, key)| {
                                *run_id == run.run_id
                                    && asset.is_none_or(|asset| asset == asset_key)
                                    && partition.is_none_or(|partition| partition == key)
                            })
                        };
                        state.as_ref().is_none_or(|state| *state == run.state || (state == "live" && is_live))
                            && cause.as_ref().is_none_or(|cause| *cause == run.cause)
                            && (asset.is_none() || builds(partition))
                            && requested_by.is_none_or(|who| run.requested_by.as_deref() == Some(who))
                            && since.is_none_or(|since| {
                                run.requested_at >= since && run.requested_at < since + chrono::TimeDelta::hours(6)
                            })
                    };
                    let expected: Vec<uuid::Uuid> = all.iter().filter(fits).map(|run| run.run_id).collect();
                    let runs = paged(&service, &query).await;
                    let given: Vec<uuid::Uuid> = runs.iter().map(|run| run.run_id).collect();
                    assert_eq!(given, expected, "{query:?}");
                    let same = service.runs(&RunQuery { limit: 100, ..query.clone() }).await.unwrap();
                    assert_eq!(same, runs, "{query:?}");
                    found += given.len();
                }
            }
        }
    }
    assert!(found > 100, "{found}");
    // A run says the same of its steps in a list as by itself, live or ended.
    for run in &all {
        assert!(run.all_counted);
        assert_eq!(service.run(run.run_id).await.unwrap().run, *run);
    }
    let query = RunQuery { partition: Some("all".to_owned()), limit: 1, ..RunQuery::default() };
    assert!(service.run_page(&query).await.unwrap_err().to_string().contains("name it as well"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_outlives_its_run() {
    let lake = Lake::open().await;
    for key in ["2026-04-02", "2026-04-03", "2026-04-04"] {
        lake.build(&[("lake.daily_totals", key)]).await;
        lake.clock.advance(std::time::Duration::from_secs(60));
    }
    let service = service(&lake);
    let all = paged(&service, &RunQuery::default()).await;
    let before = all[1].run_id;
    let page = service.run_page(&RunQuery { before: Some(before), limit: 5, ..RunQuery::default() }).await.unwrap();
    assert_eq!(page.runs.iter().map(|run| run.run_id).collect::<Vec<_>>(), [all[2].run_id]);
    sqlx::query("delete from karat.step where run_id = $1").bind(before).execute(&lake.pool).await.unwrap();
    sqlx::query("delete from karat.run where run_id = $1").bind(before).execute(&lake.pool).await.unwrap();
    // By its id, which holds the time of the machine: later than this simulated May.
    let page = service.run_page(&RunQuery { before: Some(before), limit: 5, ..RunQuery::default() }).await.unwrap();
    assert!(page.runs.iter().any(|run| run.run_id == all[2].run_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_did_is_found_in_the_tables_of_its_days() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-04-01", 20).await;
    lake.clock.advance(std::time::Duration::from_secs(11 * 3_600 + 59 * 60));
    // It begins a minute before midnight in UTC and ends after it; another one forty days later is of other days.
    let mut runs = Vec::new();
    for _ in 0..2 {
        lake.store.ensure_log_partitions(lake.clock.now().date_naive()).await.unwrap();
        let launched = lake.launch(lake.request(&[("lake.daily_totals", "2026-04-02..2026-04-03")])).await;
        lake.clock.advance(std::time::Duration::from_secs(120));
        lake.work_off(launched).await.unwrap();
        runs.push(launched.run_id);
        lake.clock.advance(std::time::Duration::from_secs(40 * 86_400 - 120));
    }
    let service = service(&lake);
    for run_id in runs {
        let detail = service.run(run_id).await.unwrap();
        let kinds: Vec<&str> = detail.events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["run_launched", "run_finished"]);
        assert_eq!(service.run_events(run_id).await.unwrap(), detail.events);
        assert_ne!(detail.events[0].at.date_naive(), detail.events[1].at.date_naive());
        let times = service.run_times(&detail.run).await.unwrap();
        assert_eq!(times.entries.iter().map(|entry| entry.count).sum::<i64>(), 2, "{times:?}");
        let steps: Vec<i64> = sqlx::query_scalar("select step_id from karat.step where run_id = $1")
            .bind(run_id)
            .fetch_all(&lake.pool)
            .await
            .unwrap();
        assert_eq!(lake.store.attempts(&steps).await.unwrap().len(), 2);
    }
    assert!(lake.store.attempts(&[]).await.unwrap().is_empty());
    assert!(lake.store.run_events(uuid::Uuid::nil(), 10).await.unwrap().is_empty());
    assert!(service.run_events(uuid::Uuid::nil()).await.unwrap_err().to_string().contains("there is no run"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_many_attempts_is_told_by_asset() {
    let lake = Lake::open().await;
    lake.clock.advance(std::time::Duration::from_secs(300 * 86_400));
    lake.store.ensure_log_partitions(lake.clock.now().date_naive()).await.unwrap();
    let service = service(&lake);
    for (last, expected) in [("2026-10-17", (false, 200, 200)), ("2026-10-18", (true, 201, 1))] {
        let mut request = lake.request(&[("lake.daily_totals", &format!("2026-04-01..{last}"))]);
        request.per_partition = true;
        let launched = lake.launch(request).await;
        lake.work_off(launched).await.unwrap();
        // By the clock that stands still all began at the same instant, as what is one statement does.
        sqlx::query("update karat.attempt set started_at = started_at - step_id * interval '1 microsecond'")
            .execute(&lake.pool)
            .await
            .unwrap();
        let run = service.run(launched.run_id).await.unwrap().run;
        let times = service.run_times(&run).await.unwrap();
        let partitions: i64 = times.entries.iter().map(|entry| entry.count).sum();
        assert_eq!(
            (times.is_by_asset, partitions, times.entries.len(), times.more_assets),
            (expected.0, expected.1, expected.2, 0)
        );
        let first = times.entries.first().unwrap();
        assert_eq!((first.asset.as_str(), first.outcome.as_str()), ("lake.daily_totals", "succeeded"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_has_the_same_counts_by_asset_whether_its_run_tells_them_or_its_steps() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-04-01", 20).await;
    lake.add_events(&[("2026-04-03T10:00:00Z", 900, -5)]).await;
    let backfill_id = uuid::Uuid::now_v7();
    let mut request = lake.request(&[("lake.daily_totals", "2026-04-01..2026-04-20")]);
    request.backfill_id = Some(backfill_id);
    let launched = lake.launch(request).await;
    lake.work_off(launched).await.unwrap();
    let service = service(&lake);
    let told = service.backfill_progress(backfill_id).await.unwrap().assets;
    let [asset] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((asset.steps.total, asset.steps.succeeded, asset.steps.failed), (20, 19, 1));
    // Of a run that skipped something, or ended before runs told it, the steps are counted.
    let nothing = "succeeded_steps = null, skipped_steps = null, failed_steps = null, blocked_steps = null, canceled_steps = null";
    for unknown in ["skipped_steps = 1", nothing] {
        sqlx::query(sqlx::AssertSqlSafe(format!("update karat.run set {unknown}"))).execute(&lake.pool).await.unwrap();
        assert_eq!(service.backfill_progress(backfill_id).await.unwrap().assets, told, "{unknown}");
    }
    // So they are where some are not kept any more: what is gone did not succeed for that.
    let as_it_ended =
        "succeeded_steps = 19, skipped_steps = 0, failed_steps = 1, blocked_steps = 0, canceled_steps = 0";
    sqlx::query(sqlx::AssertSqlSafe(format!("update karat.run set {as_it_ended}"))).execute(&lake.pool).await.unwrap();
    sqlx::query("delete from karat.step where state = 'failed'").execute(&lake.pool).await.unwrap();
    let kept = service.backfill_progress(backfill_id).await.unwrap().assets;
    assert_eq!((kept[0].steps.total, kept[0].steps.succeeded, kept[0].steps.failed), (19, 19, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_figures_and_checks_come_in_pages() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-04-01", 29).await;
    lake.add_events(&[("2026-04-03T10:00:00Z", 900, -5)]).await;
    lake.build(&[("lake.daily_totals", "2026-04-01..2026-04-20")]).await;
    let mut report = lake.request(&[("lake.monthly_report", "2026-04")]);
    report.force = true;
    let launched = lake.launch(report).await;
    lake.work_off(launched).await.unwrap();
    lake.add_events(&[("2026-04-05T10:00:00Z", 901, 7)]).await;
    let service = service(&lake);
    let keeper = PictureKeeper::start(&service, karat::engine::Subscription::silent());
    let picture = keeper.up_to_date().await;
    let asset = picture.asset(&DailyTotals::KEY).unwrap();
    let name = DailyTotals::KEY.to_string();
    // Page by page everything that has begun, newest first, once.
    let mut query = PartitionQuery { limit: 100, ..PartitionQuery::default() };
    let mut rows = Vec::new();
    loop {
        let page = service.partition_page(asset, &name, &query).await.unwrap();
        assert_eq!(page.total, asset.existing.len());
        rows.extend(page.partitions);
        let Some(next) = page.next else { break };
        query.before = Some(next);
    }
    assert_eq!(rows.len() as u64, asset.existing.len());
    assert!(rows.windows(2).all(|pair| pair[0].ordinal > pair[1].ordinal));
    let row = |key: &str| rows.iter().find(|row| row.partition.as_str() == key).unwrap();
    assert_eq!(row("2026-04-02").state, HeatState::Fresh);
    assert_eq!(row("2026-04-02").version.as_ref().map(|version| version.row_count), Some(1));
    assert!(row("2026-04-02").version.as_ref().is_some_and(|version| version.seconds.is_some()));
    assert_eq!(row("2026-04-03").state, HeatState::Failed);
    assert_eq!(row("2026-04-03").step.as_ref().map(|step| step.state.as_str()), Some("failed"));
    assert_eq!(row("2026-04-05").state, HeatState::Stale);
    assert!(row("2026-04-05").stale[0].sentence.starts_with("1 row landed in lake.events"));
    assert_eq!(row("2026-04-25").state, HeatState::Missing);
    for (state, expected) in [(HeatState::Failed, 1), (HeatState::Stale, 1), (HeatState::Running, 0)] {
        let query = PartitionQuery { state: Some(state), limit: 10, ..PartitionQuery::default() };
        let page = service.partition_page(asset, &name, &query).await.unwrap();
        assert_eq!((page.partitions.len(), page.total, page.next), (expected, expected as u64, None));
        assert!(page.partitions.iter().all(|row| row.state == state));
    }
    // Nineteen versions in five buckets.
    let series = service.series(&name, &["rows".to_owned()], None, 5).await.unwrap().remove(0);
    assert!(series.points.len() <= 5);
    assert_eq!(series.points.iter().map(|point| point.partitions).sum::<i64>(), 19);
    assert!(series.points.iter().all(|point| point.least == 1.0 && point.most == 1.0));
    assert_eq!(series.points[0].first.as_str(), "2026-04-01");
    let report = MonthlyReport::KEY.to_string();
    assert_eq!(service.figures(&report).await.unwrap(), ["rows", "seconds", "days"]);
    let noted = service.series(&report, &["days".to_owned()], None, 400).await.unwrap();
    assert_eq!(noted[0].points.iter().map(|point| point.average).collect::<Vec<_>>(), [19.0]);
    // Several at once are told in the order asked for.
    let figures = ["seconds", "what nobody notes", "rows"].map(str::to_owned);
    let several = service.series(&name, &figures, None, 400).await.unwrap();
    let lengths: Vec<_> = several.iter().map(|series| (series.figure.as_str(), series.points.len())).collect();
    assert_eq!(lengths, [("seconds", 19), ("what nobody notes", 0), ("rows", 19)]);
    assert_eq!(service.series(&name, &figures[2..], None, 400).await.unwrap(), several[2..]);
    // Checks.
    let failed = service.check_results(&name, None, true, 10).await.unwrap();
    assert_eq!(failed.iter().map(|result| result.partition.as_str()).collect::<Vec<_>>(), ["2026-04-03"]);
    let newest = service.check_results(&name, None, false, 7).await.unwrap();
    let all = service.check_results(&name, None, false, 1_000).await.unwrap();
    assert_eq!(newest[..], all[..7]);
    let checked: i64 =
        lake.scalar("select count(*) from karat.check_result where asset_key = 'lake.daily_totals'").await;
    assert_eq!(all.len() as i64, checked);
    // The newest versions of an asset are those that were published last.
    let versions = lake.store.materializations(DailyTotals::KEY.as_str(), None, 5).await.unwrap();
    let newest: Vec<i64> = sqlx::query_scalar(
        "select materialization_id from karat.materialization where asset_key = 'lake.daily_totals'
         order by materialization_id desc limit 5",
    )
    .fetch_all(&lake.pool)
    .await
    .unwrap();
    assert_eq!(versions.iter().map(|version| version.materialization_id).collect::<Vec<_>>(), newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_counted_stays_when_its_steps_go() {
    let lake = Lake::open().await;
    lake.build(&[("lake.daily_totals", "2026-04-02..2026-04-04")]).await;
    let service = service(&lake);
    let before = service.runs(&RunQuery { limit: 1, ..RunQuery::default() }).await.unwrap();
    sqlx::query("delete from karat.step").execute(&lake.pool).await.unwrap();
    assert_eq!(service.runs(&RunQuery { limit: 1, ..RunQuery::default() }).await.unwrap(), before);
    assert_eq!(before[0].steps.succeeded, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_run_has_the_same_counts_whether_its_steps_are_listed_or_counted() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-04-01", 20).await;
    let request = lake.request(&[("lake.daily_totals", "2026-04-01..2026-04-20"), ("lake.troublesome", "none,fatal")]);
    let launched = lake.launch(request).await;
    let states = ["pending", "ready", "running", "succeeded", "skipped", "failed", "blocked", "canceled"];
    sqlx::query(
        "update karat.step s set state = ($2::text[])[1 + n.place % 8]
         from (select step_id, row_number() over (order by step_id)::integer as place from karat.step where run_id = $1) n
         where s.step_id = n.step_id",
    )
    .bind(launched.run_id)
    .bind(&states[..])
    .execute(&lake.pool)
    .await
    .unwrap();
    let detail = service(&lake).run(launched.run_id).await.unwrap();
    let counted = lake.store.run(launched.run_id).await.unwrap().unwrap();
    assert_eq!((detail.run.steps, detail.run.all_counted), (counted.steps, true));
    assert_eq!((counted.steps.total, detail.run.state.as_str()), (22, "running"));
    assert!(counted.steps.pending > 0 && counted.steps.finished() > 0);
    // Who does not want them counted knows how many there are.
    let uncounted = lake.store.run_counting(launched.run_id, 0).await.unwrap().unwrap();
    assert_eq!((uncounted.steps.total, uncounted.steps.finished(), uncounted.all_counted), (22, 0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_from_tables_of_days_is_planned_for_its_days_each_time() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-04-01", 5).await;
    let launched = lake.launch(lake.request(&[("lake.daily_totals", "2026-04-01..2026-04-03")])).await;
    lake.work_off(launched).await.unwrap();
    let run_id = launched.run_id;
    let pool = karat::store::pool_options().max_connections(1).connect_with(lake.options.clone()).await.unwrap();
    let store = Store::new(pool.clone());
    let filters = [
        LogFilter::default(),
        LogFilter { levels: Some(vec!["error"]), ..LogFilter::default() },
        LogFilter { partition_key: Some("2026-04-02".to_owned()), ..LogFilter::default() },
    ];
    for filter in &filters {
        store.run_log_tail(run_id, filter, 10).await.unwrap();
        store.run_log_after(run_id, filter, (lake.clock.now(), 0, 0, 0), 10).await.unwrap();
    }
    store.run_log(run_id, None, None, 10).await.unwrap();
    store.run_log_bytes(run_id).await.unwrap();
    assert_eq!(store.run_events(run_id, 10).await.unwrap().len(), 2);
    assert_eq!(store.run_attempts(run_id, 10).await.unwrap().len(), 1);
    let steps: Vec<i64> = sqlx::query_scalar("select step_id from karat.step").fetch_all(&pool).await.unwrap();
    assert_eq!(store.attempts(&steps).await.unwrap().len(), 3);
    let kept: Vec<String> =
        sqlx::query_scalar("select statement from pg_prepared_statements").fetch_all(&pool).await.unwrap();
    assert!(kept.iter().any(|statement| statement.contains("karat.run")), "{kept:?}");
    let divided = |statement: &&String| {
        ["karat.attempt", "karat.event", "karat.log_line"].iter().any(|table| statement.contains(table))
    };
    assert_eq!(kept.iter().find(divided), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_built_together_took_its_time_once_however_few_versions_are_looked_at() {
    let lake = Lake::open().await;
    lake.add_event_a_day("2026-04-01", 20).await;
    lake.build(&[("lake.daily_totals", "2026-04-01..2026-04-10")]).await;
    lake.build(&[("lake.daily_totals", "2026-04-11..2026-04-20")]).await;
    let partitions = async |together: i64, newest: i64| {
        let assets = [("lake.daily_totals", together)].into();
        let durations = lake.store.durations(&assets, newest).await.unwrap();
        durations.iter().map(|record| record.partitions).collect::<Vec<_>>()
    };
    // Three of a range of ten, which is then counted as ten; three of the one before it besides; and all.
    assert_eq!(partitions(400, 3).await, [10]);
    assert_eq!(partitions(400, 13).await, [20]);
    assert_eq!(partitions(400, 40).await, [20]);
    // An asset that builds no ranges has none to be completed.
    assert_eq!(partitions(1, 3).await, [3]);
    assert!(lake.store.durations(&[("lake.monthly_report", 1)].into(), 3).await.unwrap().is_empty());
}
