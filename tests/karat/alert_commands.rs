//! Alerts on the command line.

use insta::assert_snapshot;
use karat::store::Store;
use karat::store::alert::{AlertKind, NewAlert};

use super::receiver::{Receiver, SECRET};
use super::service_lake::{Lake, instant, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_listed_shown_and_tested() {
    let lake = Lake::new().await;
    let _guard = settings().bind_to_scope();
    let store = Store::new(lake.pool.clone());
    let quiet = [
        "alert ls",
        "alert ls --open",
        "alert show 7",
        "alert test",
        "alert test nowhere --alert-webhook http://127.0.0.1:1/x",
    ];
    assert_snapshot!(lake.conversation(&quiet).await, @r"
    $ lake alert ls
    There are no alerts. Whether one would arrive: lake alert test
    [0]
    $ lake alert ls --open
    There are no open alerts. Whether one would arrive: lake alert test
    [0]
    $ lake alert show 7
    error: there is no alert 7: `lake alert ls` lists them with their numbers
    [2]
    $ lake alert test
    error: alerts go nowhere: give the URL of a webhook with --alert-webhook, or in KARAT_ALERT_WEBHOOK
    [2]
    $ lake alert test nowhere --alert-webhook http://127.0.0.1:1/x
    error: alerts do not go to `nowhere`: the channels are webhook
    [2]
    ");
    let alert = NewAlert {
        kind: AlertKind::RunFailed,
        subject: "lake.daily".to_owned(),
        title: "lake.daily was not built: 2026-03-05".to_owned(),
        explanation: "The moon is full.\nRun 1, cause: schedule.".to_owned(),
        command: "why lake.daily 2026-03-05".to_owned(),
        evidence_from: Some(1),
    };
    assert!(store.raise_alert(&alert, instant("2026-03-20T02:15:00Z")).await.unwrap());
    assert!(!store.raise_alert(&alert, instant("2026-03-20T03:15:00Z")).await.unwrap());
    assert_snapshot!(lake.conversation(&["alert ls", "alert show 1"]).await, @r"
    $ lake alert ls
    ID  STATE  KIND        OPENED                     RECOVERED  ALERT
     1  error  run_failed  2026-03-20 03:15:00+01:00  ·          lake.daily was not built: 2026-03-05

    To look into it:
      lake why lake.daily 2026-03-05
    [0]
    $ lake alert show 1
    error run_failed: lake.daily was not built: 2026-03-05
      The moon is full.
      Run 1, cause: schedule.
      opened     2026-03-20 03:15:00+01:00
      last seen  2026-03-20 04:15:00+01:00
      look       lake why lake.daily 2026-03-05

    Nothing was said about it on any channel.
    [0]
    ");
    store.recover_alerts(&[1], instant("2026-03-20T04:00:00Z")).await.unwrap();
    assert!(lake.says("alert ls --open").await.starts_with("There are no open alerts."));

    let receiver = Receiver::start().await;
    let (url, place) = (receiver.url(), receiver.url().place());
    let test = format!("alert test --alert-webhook {}", url.secret());
    assert_eq!(lake.says(&test).await, format!("webhook: delivered, {place} answered 204\n[0]"));
    assert_eq!(receiver.titles(), ["open: This is a test"]);
    receiver.answer(&[(401, None)]);
    let refused = lake.says(&test).await;
    assert_eq!(refused, format!("webhook: not delivered: {place} answered 401 Unauthorized: not\u{fffd}now\n[1]"));
    let wrong = lake.says(&format!("alert test --alert-webhook {SECRET}")).await;
    assert!(wrong.starts_with("error: --alert-webhook: that is no URL") && !wrong.contains(SECRET), "{wrong}");
}
