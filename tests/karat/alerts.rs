//! Alerts: what raises one, what ends it, and how it is said.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use insta::assert_snapshot;
use karat::asset::definitions::Definitions;
use karat::clock::Clock;
use karat::daemon::alert_channel::WebhookUrl;
use karat::daemon::{Activation, AlertReconciler, AlertSender, FreshnessReconciler, Reconciler, ReconcilerContext};
use karat::prelude::*;
use karat::store::alert::{AlertKind, NewAlert};
use karat::store::run::Control;
use uuid::Uuid;

use super::lake::{Lake, calendar, instant};
use super::receiver::{Receiver, SECRET};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAILY: &str = "lake.daily_totals";

impl Lake {
    fn context(&self) -> ReconcilerContext {
        ReconcilerContext {
            store: self.store.clone(),
            definitions: self.definitions.clone(),
            clock: self.shared_clock(),
        }
    }

    async fn activate(&self, reconciler: &mut dyn Reconciler) -> Activation {
        reconciler.activate(&self.context()).await.unwrap()
    }

    /// Raises an alert about nothing in particular.
    async fn raise(&self, subject: &str) {
        let alert = NewAlert {
            kind: AlertKind::QuarantineGrew,
            subject: subject.to_owned(),
            title: format!("{subject} is odd"),
            explanation: "It was even.".to_owned(),
            command: format!("why {subject}"),
            evidence_from: None,
        };
        self.store.raise_alert(&alert, self.clock.now()).await.unwrap();
    }

    async fn recover_all(&self) {
        let open = self.store.alerts(true, None, 1_000).await.unwrap();
        let open: Vec<i64> = open.iter().map(|alert| alert.alert_id).collect();
        self.store.recover_alerts(&open, self.clock.now()).await.unwrap();
    }

    async fn alert_lines(&self) -> String {
        self.text(
            "select kind, subject, severity, title, recovered_at is not null as recovered
             from karat.alert order by alert_id",
        )
        .await
    }

    /// The same assets, `DailyTotals` declared as `change` makes it.
    fn redefine(&mut self, change: impl Fn(&mut karat::asset::spec::AssetSpec)) {
        let mut specs: Vec<_> = self.definitions.assets().map(|spec| (**spec).clone()).collect();
        specs.iter_mut().filter(|spec| spec.key.as_str() == DAILY).for_each(change);
        let definitions = Definitions::from_specs(calendar(chrono_tz::Europe::Berlin), specs, BTreeMap::new());
        self.definitions = Arc::new(definitions.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_one_alert_however_often_it_fails_and_ends_when_all_is_built() {
    let lake = Lake::open().await;
    let receiver = Receiver::start().await;
    let (mut alerts, mut sender) = (AlertReconciler, AlertSender::new("lake", vec![receiver.channel()]));
    lake.add_events(&[
        ("2026-04-20T12:00:00Z", 1, -5),
        ("2026-04-21T12:00:00Z", 2, -5),
        ("2026-04-22T12:00:00Z", 3, 5),
    ])
    .await;
    assert_eq!(lake.activate(&mut alerts).await, Activation::default());

    // Three nights in a row.
    for _ in 0..3 {
        let outcome = lake.build(&[(DAILY, "2026-04"), ("lake.monthly_report", "2026-04")]).await;
        assert_eq!(outcome, "failed: 28 succeeded, 2 failed, 1 blocked");
        lake.activate(&mut alerts).await;
        lake.activate(&mut alerts).await;
        lake.activate(&mut sender).await;
        lake.clock.advance(8 * HOUR);
    }
    assert_eq!(
        lake.alert_lines().await,
        "run_failed | lake.daily_totals | error | lake.daily_totals was not built: 2 partitions, first 2026-04-20 | false"
    );
    let mut messages = receiver.take();
    assert_eq!(messages.len(), 1, "one message for three nights");
    messages[0]["detail"] = messages[0]["detail"].as_str().unwrap().lines().next().unwrap().into();
    assert_snapshot!(serde_json::to_string_pretty(&messages[0]).unwrap(), @r#"
    {
      "at": "2026-05-01T12:00:00Z",
      "command": "lake why lake.daily_totals 2026-04-20",
      "detail": "check amount_is_not_negative: 1 offending row; the version before stays",
      "id": "1",
      "kind": "run_failed",
      "opened_at": "2026-05-01T12:00:00Z",
      "program": "lake",
      "recovered_at": null,
      "severity": "error",
      "state": "open",
      "subject": "lake.daily_totals",
      "title": "lake.daily_totals was not built: 2 partitions, first 2026-04-20",
      "version": 1
    }
    "#);

    // The day after, it is said again.
    lake.clock.advance(HOUR);
    lake.activate(&mut sender).await;
    lake.activate(&mut sender).await;
    let reminder = ["reminder: lake.daily_totals was not built: 2 partitions, first 2026-04-20"];
    assert_eq!(receiver.titles(), reminder);

    // One of two is repaired: it is not over. Then the other.
    sqlx::query("update lake.events set amount = 5 where id = 1").execute(&lake.pool).await.unwrap();
    lake.build(&[(DAILY, "2026-04-20")]).await;
    assert_eq!(lake.activate(&mut alerts).await.report, None);
    sqlx::query("update lake.events set amount = 5 where id = 2").execute(&lake.pool).await.unwrap();
    lake.build(&[(DAILY, "2026-04-21")]).await;
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("1 recovered"));
    lake.activate(&mut sender).await;
    lake.activate(&mut sender).await;
    assert_eq!(receiver.titles(), ["recovered: lake.daily_totals was not built: 2 partitions, first 2026-04-20"]);
    assert_eq!(
        lake.text("select channel, event, state, tries, told_end from karat.alert_delivery order by delivery_id").await,
        "webhook | opened | delivered | 1 | false\n\
         webhook | reminded | delivered | 1 | false\n\
         webhook | recovered | delivered | 1 | true"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_canceled_or_has_been_built_since_raises_nothing() {
    let lake = Lake::open().await;
    let mut alerts = AlertReconciler;
    lake.add_events(&[("2026-04-20T12:00:00Z", 1, -5)]).await;
    assert_eq!(lake.build(&[(DAILY, "2026-04-20")]).await, "failed: 1 failed");
    sqlx::query("update lake.events set amount = 5").execute(&lake.pool).await.unwrap();
    assert_eq!(lake.build(&[(DAILY, "2026-04-20")]).await, "succeeded: 1 succeeded");
    let launched = lake.launch(lake.request(&[(DAILY, "2026-04-21")])).await;
    lake.store.control_runs(&[launched.run_id], Control::Cancel, lake.clock.now(), None).await.unwrap();
    lake.work_off(launched).await.unwrap();
    assert_eq!(lake.outcome(launched).await, "canceled: 1 canceled");
    assert_eq!(lake.activate(&mut alerts).await, Activation::default());
    assert_eq!(lake.alert_lines().await, "");
    assert_eq!(
        lake.scalar::<i64>("select count(*) from karat.run where outcome = 'failed' and failure_seen_at is null").await,
        0,
        "it is not looked at again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_does_not_block_alerts_until_it_passes() {
    let mut lake = Lake::open().await;
    lake.redefine(|spec| {
        spec.checks.clear();
        spec.checks.push(row_count(1, None).non_blocking());
    });
    let mut alerts = AlertReconciler;
    assert_eq!(lake.build(&[(DAILY, "2026-04-20..2026-04-21")]).await, "succeeded: 2 succeeded");
    lake.activate(&mut alerts).await;
    assert_eq!(
        lake.alert_lines().await,
        "check_failed | lake.daily_totals row_count | warning | check `row_count` of lake.daily_totals 2026-04-21 failed | false"
    );
    lake.add_events(&[("2026-04-20T12:00:00Z", 1, 5)]).await;
    lake.build(&[(DAILY, "2026-04-20")]).await;
    assert_eq!(lake.activate(&mut alerts).await.report, None, "the other day is still empty");
    lake.add_events(&[("2026-04-21T12:00:00Z", 2, 5)]).await;
    lake.build(&[(DAILY, "2026-04-21")]).await;
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("1 recovered"));
    // The check is taken away: what it found before is no one's business any more.
    lake.build(&[(DAILY, "2026-04-22")]).await;
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("raised alerts"));
    lake.redefine(|spec| spec.checks.clear());
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("1 recovered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_freshness_policy_alerts_at_its_moment_and_until_something_is_published() {
    let mut lake = Lake::open().await;
    lake.redefine(|spec| spec.freshness = FreshnessPolicy::hours(30));
    let mut freshness = FreshnessReconciler;
    lake.add_event_a_day("2026-04-20", 11).await;
    lake.build(&[(DAILY, "2026-04-20..2026-04-29")]).await;
    let quiet = lake.activate(&mut freshness).await;
    assert_eq!(quiet, Activation { report: None, next_at: Some(instant("2026-05-02T04:00:00Z")) });
    lake.clock.set(quiet.next_at.unwrap());
    let overdue = lake.activate(&mut freshness).await;
    assert_eq!(overdue, Activation { report: Some("1 overdue, 0 fresh again".to_owned()), next_at: None });
    assert_eq!(lake.activate(&mut freshness).await.report, None);
    assert_eq!(
        lake.alert_lines().await,
        "freshness_failed | lake.daily_totals | error | lake.daily_totals is overdue since 2026-05-02 06:00:00+02:00 | false"
    );
    lake.build(&[(DAILY, "2026-04-30")]).await;
    assert_eq!(lake.activate(&mut freshness).await.report.as_deref(), Some("0 overdue, 1 fresh again"));
    // A policy that is taken away leaves no alert behind.
    lake.clock.advance(48 * HOUR);
    assert_eq!(lake.activate(&mut freshness).await.report.as_deref(), Some("1 overdue, 0 fresh again"));
    lake.redefine(|spec| spec.freshness = None);
    assert_eq!(lake.activate(&mut freshness).await.report.as_deref(), Some("0 overdue, 1 fresh again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_should_run_by_itself_and_does_not_is_noticed() {
    let lake = Lake::open().await;
    let mut alerts = AlertReconciler;
    let worker = Uuid::now_v7();
    let record = async |name: &str, outcome| {
        let now = lake.clock.now();
        lake.store.record_activation(name, worker, now, now, outcome).await.unwrap();
    };
    record("alerts", Ok(None)).await;
    record("scheduler", Ok(None)).await;
    lake.clock.advance(4 * MINUTE);
    record("scheduler", Err("the moon is full")).await;
    record("alerts", Ok(None)).await;
    assert_eq!(lake.activate(&mut alerts).await.report, None, "not for long enough");
    lake.clock.advance(2 * MINUTE);
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("raised alerts"));
    assert_eq!(
        lake.text("select title, explanation from karat.alert").await,
        "the scheduler stands still: it last succeeded at 2026-05-01 14:00:00+02:00 | It fails: the moon is full"
    );
    record("scheduler", Ok(None)).await;
    record("alerts", Ok(None)).await;
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("1 recovered"));

    // Everything was dead for an hour; whoever takes over says so.
    lake.clock.advance(HOUR);
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("raised alerts"));
    record("alerts", Ok(None)).await;
    assert_eq!(
        lake.text("select title from karat.alert where recovered_at is null").await,
        "nothing ran by itself from 2026-05-01 14:06:00+02:00 to 2026-05-01 15:06:00+02:00"
    );
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("1 recovered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_quarantine_alert_until_none_waits() {
    let lake = Lake::open().await;
    let mut alerts = AlertReconciler;
    let quarantine = async |id: i64| {
        sqlx::query(
            "insert into karat.quarantine (asset_key, row_data, reason, writer, quarantined_at)
             values ('lake.events', jsonb_build_object('id', $1), 'too late', 'test', $2)",
        )
        .bind(id)
        .bind(lake.clock.now())
        .execute(&lake.pool)
        .await
        .unwrap();
    };
    quarantine(1).await;
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("raised alerts"));
    lake.clock.advance(MINUTE);
    quarantine(2).await;
    assert_eq!(lake.activate(&mut alerts).await.report, None, "it is the same alert, brought up to date");
    assert_eq!(
        lake.text("select title, command, opened_at < last_seen_at as grew from karat.alert").await,
        "2 rows of lake.events came too late and are in quarantine | quarantine ls lake.events | true"
    );
    sqlx::query("update karat.quarantine set discarded_at = quarantined_at").execute(&lake.pool).await.unwrap();
    assert_eq!(lake.activate(&mut alerts).await.report.as_deref(), Some("1 recovered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_gets_so_many_messages_an_hour_and_the_rest_in_one() {
    let lake = Lake::open().await;
    let receiver = Receiver::start().await;
    let mut sender = AlertSender::new("lake", vec![receiver.channel()]).messages_per_hour(4);
    for number in 1..=30 {
        lake.raise(&format!("lake.asset_{number:02}")).await;
    }
    let next_at = lake.activate(&mut sender).await.next_at;
    assert_eq!(
        receiver.titles(),
        [
            "open: lake.asset_01 is odd",
            "open: lake.asset_02 is odd",
            "open: lake.asset_03 is odd",
            "open: 27 more alerts than there is room for one by one",
        ]
    );
    assert_eq!(next_at, None, "everything was said");
    // Nothing more within the hour, whatever happens.
    lake.clock.advance(30 * MINUTE);
    lake.raise("lake.another").await;
    lake.recover_all().await;
    lake.raise("lake.later").await;
    let waiting = lake.activate(&mut sender).await;
    assert_eq!(waiting, Activation { report: None, next_at: Some(instant("2026-05-01T13:00:00Z")) });
    assert_eq!(receiver.titles(), [] as [&str; 0]);
    lake.clock.advance(30 * MINUTE);
    lake.activate(&mut sender).await;
    let told = receiver.titles();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[3], "open: 29 more alerts than there is room for one by one", "30 ends and two more");
    assert_eq!(lake.scalar::<i64>("select count(*) from karat.alert_delivery where state <> 'delivered'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_is_tried_again_and_may_say_when() {
    let lake = Lake::open().await;
    let receiver = Receiver::start().await;
    let mut sender = AlertSender::new("lake", vec![receiver.channel()]);
    lake.raise("lake.first").await;
    lake.raise("lake.second").await;
    receiver.answer(&[(500, None), (500, None), (429, Some("77.5"))]);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let next_at = lake.activate(&mut sender).await.next_at.unwrap();
        waits.push((next_at - lake.clock.now()).as_seconds_f64());
        assert_eq!(receiver.titles(), [] as [&str; 0]);
        assert_eq!(lake.activate(&mut sender).await.next_at, Some(next_at), "and nothing is tried before");
        lake.clock.set(next_at);
    }
    assert!((8.0..=12.0).contains(&waits[0]) && (16.0..=24.0).contains(&waits[1]), "{waits:?}");
    assert_eq!(waits[2], 77.5);
    let (failed, place) =
        (lake.text("select distinct last_error from karat.alert_delivery").await, receiver.url().place());
    assert_eq!(failed, format!("{place} answered 429 Too Many Requests: not\u{fffd}now"));
    lake.activate(&mut sender).await;
    assert_eq!(receiver.titles(), ["open: lake.first is odd", "open: lake.second is odd"]);
    assert_eq!(
        lake.text("select state, tries, last_error from karat.alert_delivery order by delivery_id").await,
        "delivered | 4 | ∅\ndelivered | 1 | ∅"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_refused_holds_nothing_up_and_a_dead_receiver_is_given_up_after_a_day() {
    let lake = Lake::open().await;
    let receiver = Receiver::start().await;
    let mut sender = AlertSender::new("lake", vec![receiver.channel()]);
    lake.raise("lake.first").await;
    lake.raise("lake.second").await;
    receiver.answer(&[(400, None)]);
    lake.activate(&mut sender).await;
    assert_eq!(receiver.titles(), ["open: lake.second is odd"]);
    let states = "select state, tries, last_error is not null as error from karat.alert_delivery order by delivery_id";
    assert_eq!(lake.text(states).await, "given_up | 1 | true\ndelivered | 1 | false");
    let said = lake.text("select last_error from karat.alert_delivery where delivery_id = 1").await;
    assert!(said.ends_with("answered 400 Bad Request: not\u{fffd}now"), "an answer is text from outside: {said}");

    lake.raise("lake.third").await;
    let url = receiver.url();
    drop(receiver);
    let mut tries = 0;
    let begin = lake.clock.now();
    let state = "select state from karat.alert_delivery where delivery_id = 3";
    while tries < 100 {
        let next_at = lake.activate(&mut sender).await.next_at;
        if lake.text(state).await == "given_up" {
            break;
        }
        lake.clock.set(next_at.unwrap());
        tries += 1;
    }
    let lasted = lake.clock.now() - begin;
    assert!(lasted >= TimeDelta::hours(24) && lasted < TimeDelta::hours(25), "{lasted}");
    assert!((40..80).contains(&tries), "{tries}");
    let error = lake.text("select state || ': ' || last_error from karat.alert_delivery where delivery_id = 3").await;
    assert!(error.starts_with("given_up: ") && error.contains("does not answer"), "{error}");
    assert!(error.contains(&url.place()) && !error.contains(SECRET), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_dies_is_followed_by_one_that_goes_on() {
    let lake = Lake::open().await;
    let receiver = Receiver::start().await;
    for subject in ["lake.first", "lake.second"] {
        lake.raise(subject).await;
    }
    let mut sender = AlertSender::new("lake", vec![receiver.channel()]);
    receiver.answer(&[(500, None)]);
    let next_at = lake.activate(&mut sender).await.next_at.unwrap();
    lake.clock.set(next_at);
    // It dies with the first message in its hands: reserved, and nobody knows whether it arrived.
    let now = lake.clock.now();
    assert!(lake.store.reserve_deliveries(&[1], now + TimeDelta::minutes(1), now).await.unwrap());
    assert!(!lake.store.reserve_deliveries(&[1, 2], now + TimeDelta::minutes(1), now).await.unwrap());
    drop(sender);
    let mut successor = AlertSender::new("lake", vec![receiver.channel()]);
    let next_at = lake.activate(&mut successor).await.next_at.unwrap();
    assert_eq!(receiver.titles(), ["open: lake.second is odd"]);
    lake.clock.set(next_at);
    assert_eq!(lake.activate(&mut successor).await.next_at, None);
    assert_eq!(receiver.titles(), ["open: lake.first is odd"]);
    assert_eq!(lake.activate(&mut successor).await, Activation::default());
    assert_eq!(receiver.titles(), [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_before_it_could_be_said_is_said_once_as_ended() {
    let lake = Lake::open().await;
    let receiver = Receiver::start().await;
    let mut sender = AlertSender::new("lake", vec![receiver.channel()]);
    lake.raise("lake.first").await;
    lake.recover_all().await;
    lake.clock.advance(MINUTE);
    lake.activate(&mut sender).await;
    lake.activate(&mut sender).await;
    assert_eq!(receiver.titles(), ["recovered: lake.first is odd"]);
    // A channel that is added later hears of what lasts, and nothing of what is long over.
    lake.raise("lake.second").await;
    lake.clock.advance(2 * HOUR);
    let other = Receiver::start().await;
    let mut sender = AlertSender::new("lake", vec![Arc::new(Named(other.url()))]);
    lake.activate(&mut sender).await;
    assert_eq!(other.titles(), ["open: lake.second is odd"]);
}

/// A channel of another name.
struct Named(WebhookUrl);

impl karat::daemon::alert_channel::AlertChannel for Named {
    fn name(&self) -> &str {
        "named"
    }

    fn url(&self) -> &WebhookUrl {
        &self.0
    }

    fn body(&self, message: &karat::daemon::alert_channel::AlertMessage) -> serde_json::Value {
        serde_json::to_value(message).unwrap()
    }
}

#[test]
fn the_url_of_a_webhook_does_not_show_itself() {
    let url: WebhookUrl =
        format!(" https://ada:{SECRET}@hooks.example.org:8443/{SECRET}?key={SECRET}\n").parse().unwrap();
    assert_eq!(format!("{url:?}"), "WebhookUrl(https://hooks.example.org:8443/…)");
    assert!(url.secret().contains(SECRET));
    for wrong in [SECRET, "ftp://example.org/x", "", "https://"] {
        let error = wrong.parse::<WebhookUrl>().unwrap_err().to_string();
        assert!(!error.contains(SECRET), "{error}");
    }
}
