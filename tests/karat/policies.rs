//! What declarations may ask for: every kind of check, appending, pools, priorities, time-outs, retries.

use std::sync::Arc;
use std::time::Duration;

use karat::core::policy::WriteMode;
use karat::engine::external::append_rows;
use karat::prelude::*;

use crate::lake::{self, Events, Lake};

table! {
    /// What is known of an account.
    pub struct Accounts {
        /// Its number.
        pub id: i64,
    }
}

impl Asset for Accounts {
    const KEY: AssetKey = AssetKey::new("lake.accounts");
    type Partitions = Unpartitioned;
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["id"];
}

impl ExternalAsset for Accounts {}

table! {
    /// Events with every kind of check on them.
    pub struct Checked {
        /// When.
        pub at: DateTime<Utc>,
        /// Whose; null is not allowed.
        pub account: Option<i64>,
        /// Which kind.
        pub kind: String,
    }
}

impl Asset for Checked {
    const KEY: AssetKey = AssetKey::new("lake.checked");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    type Upstream = (Events, Accounts);
    const RETRY: RetryPolicy = RetryPolicy::NONE;

    fn checks() -> Vec<AssetCheck> {
        vec![
            not_null("account"),
            unique(&["at", "account"]),
            accepted_values("kind", &["small", "it's"]),
            row_count(1, Some(3)),
            references("account", Accounts::KEY, "id"),
            fresh("at", Duration::from_secs(12 * 3600)),
            no_rows("nothing_at_midnight", "select * from partition_rows where at = $1"),
            row_count(2, None).named("at_least_two").non_blocking(),
        ]
    }
}

impl SqlAsset for Checked {
    const SQL: &'static str = "
        select at, nullif(id, 0) as account, case when amount < 10 then 'small' when amount = 10 then 'it''s' else 'big' end as kind
        from lake.events where at >= $1 and at < $2 and exists (select from lake.accounts)";
}

table! {
    /// Keeps what it has seen.
    pub struct Seen {
        /// The local day.
        pub day: NaiveDate,
        /// Which event.
        pub id: i64,
        /// What it was when it was first seen.
        pub amount: i64,
    }
}

impl Asset for Seen {
    const KEY: AssetKey = AssetKey::new("lake.seen");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Events,);
    const NATURAL_KEY: &'static [&'static str] = &["day", "id"];
    const POOL: Option<&'static str> = Some("narrow");
    const PRIORITY: i32 = 5;
}

impl SqlAsset for Seen {
    const SQL: &'static str = "select at::date as day, id, amount from lake.events where at >= $1 and at < $2";
}

table! {
    /// Takes longer than it may.
    pub struct Overdue {
        /// Anything.
        pub value: i64,
    }
}

impl Asset for Overdue {
    const KEY: AssetKey = AssetKey::new("lake.overdue");
    type Partitions = Unpartitioned;
    type Upstream = ();
    const TIMEOUT: Option<Duration> = Some(Duration::from_millis(100));
    const RETRY: RetryPolicy = RetryPolicy::fixed(1, Duration::ZERO);
}

impl SqlAsset for Overdue {
    const SQL: &'static str = "select 1::bigint as value from pg_sleep(60)";
}

async fn open() -> Lake {
    let mut lake = Lake::open().await;
    sqlx::raw_sql(
        "create table lake.accounts (id bigint primary key);
         create table lake.checked (at timestamptz not null, account bigint, kind text not null);
         create table lake.seen (day date not null, id bigint not null, amount bigint not null, unique (day, id));
         create table lake.overdue (value bigint not null);",
    )
    .execute(&lake.pool)
    .await
    .unwrap();
    let definitions = Definitions::builder(lake::calendar(chrono_tz::UTC))
        .external::<Events>()
        .external::<Accounts>()
        .sql::<Checked>()
        .sql::<Seen>()
        .sql::<Overdue>()
        .pool("narrow", 2)
        .build()
        .unwrap();
    lake.definitions = Arc::new(definitions);
    let accounts: Vec<Accounts> = (1..=100).map(|id| Accounts { id }).collect();
    append_rows(&lake.pool, &lake.definitions, &*lake.clock, "test", &accounts).await.unwrap();
    lake
}

#[tokio::test]
async fn every_kind_of_check_finds_what_offends() {
    let lake = open().await;
    // Each day offends in its own way; the fourth by having no event at all.
    lake.add_events(&[
        ("2026-03-01T18:00:00Z", 1, 1),
        ("2026-03-01T19:00:00Z", 2, 10),
        ("2026-03-02T18:00:00Z", 0, 1),
        ("2026-03-03T18:00:00Z", 1, 999),
        ("2026-03-05T18:00:00Z", 777, 1),
        ("2026-03-06T03:00:00Z", 1, 1),
        ("2026-03-07T00:00:00Z", 1, 1),
        ("2026-03-07T20:00:00Z", 2, 1),
    ])
    .await;
    assert_eq!(lake.build(&[("lake.checked", "2026-03-01..2026-03-07")]).await, "failed: 1 succeeded, 6 failed");
    assert_eq!(
        lake.text("select partition_key, check_name, blocking, offending_rows, message from karat.check_result where not passed order by 1, 2").await,
        "2026-03-02 | at_least_two | false | 1 | 1 row where at least 2 are expected\n\
         2026-03-02 | not_null_account | true | 1 | `account` is null in 1 row\n\
         2026-03-03 | accepted_values_kind | true | 1 | `kind` has other values than small, it's in 1 row, for example `big`\n\
         2026-03-03 | at_least_two | false | 1 | 1 row where at least 2 are expected\n\
         2026-03-04 | at_least_two | false | 1 | 0 rows where at least 2 are expected\n\
         2026-03-04 | fresh_at | true | 1 | newest `at` is nothing, more than 12h before the end of the partition\n\
         2026-03-04 | row_count | true | 1 | 0 rows where 1 to 3 are expected\n\
         2026-03-05 | at_least_two | false | 1 | 1 row where at least 2 are expected\n\
         2026-03-05 | references_account | true | 1 | `account` of 1 row is not in lake.accounts.id, for example `777`\n\
         2026-03-06 | at_least_two | false | 1 | 1 row where at least 2 are expected\n\
         2026-03-06 | fresh_at | true | 1 | newest `at` is 2026-03-06 03:00:00+00, more than 12h before the end of the partition\n\
         2026-03-07 | nothing_at_midnight | true | 1 | 1 offending row"
    );
    // Only the day that passes is there.
    assert_eq!(lake.text("select distinct at::date from lake.checked").await, "2026-03-01");
    assert_eq!(
        lake.scalar::<i64>("select count(*) from karat.check_result where passed and partition_key = '2026-03-01'")
            .await,
        8
    );
}

#[tokio::test]
async fn repeated_rows_are_found_by_a_unique_check() {
    let lake = open().await;
    // Two events of the same instant and account: the key of the table does not forbid it, the check does.
    lake.add_events(&[("2026-03-01T18:00:00Z", 5, 1)]).await;
    sqlx::query("alter table lake.events drop constraint events_pkey").execute(&lake.pool).await.unwrap();
    sqlx::query("insert into lake.events select * from lake.events").execute(&lake.pool).await.unwrap();
    assert_eq!(lake.build(&[("lake.checked", "2026-03-01")]).await, "failed: 1 failed");
    assert_eq!(
        lake.text("select check_name, offending_rows, message from karat.check_result where not passed").await,
        "unique_at_account | 1 | the value of (at, account) is repeated in 1 row"
    );
}

#[tokio::test]
async fn appending_keeps_the_rows_that_are_there() {
    let lake = open().await;
    lake.add_events(&[("2026-03-01T18:00:00Z", 1, 1), ("2026-03-01T19:00:00Z", 2, 2)]).await;
    lake.build(&[("lake.seen", "2026-03-01")]).await;
    // One row changed, one vanished, one is new.
    sqlx::raw_sql("update lake.events set amount = 99 where id = 1; delete from lake.events where id = 2")
        .execute(&lake.pool)
        .await
        .unwrap();
    lake.add_events(&[("2026-03-01T20:00:00Z", 3, 3)]).await;
    lake.build(&[("lake.seen", "2026-03-01")]).await;
    assert_eq!(
        lake.text("select * from lake.seen order by id").await,
        "2026-03-01 | 1 | 1\n2026-03-01 | 2 | 2\n2026-03-01 | 3 | 3"
    );
    // The version is that of everything in the partition, and nothing new means the same version.
    lake.build(&[("lake.seen", "2026-03-01")]).await;
    assert_eq!(
        lake.text("select row_count, content_changed from karat.materialization order by materialization_id").await,
        "2 | true\n3 | true\n3 | false"
    );
    let seen = lake.definitions.find("lake.seen").unwrap();
    assert_eq!(seen.write_mode, WriteMode::Append { natural_key: vec!["day".to_owned(), "id".to_owned()] });
}

#[tokio::test]
async fn a_pool_limits_what_runs_at_once_over_workers() {
    let mut lake = open().await;
    lake.settings.slots = 8;
    let launched = lake.launch(lake.request(&[("lake.seen", "2026-01-01..2026-03-01")])).await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let watch = async {
        let mut highest = 0;
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            highest = highest.max(lake.scalar::<i64>("select count(*) from karat.step where state = 'running'").await);
        }
        highest
    };
    let work = async {
        let stop = tokio_util::sync::CancellationToken::new();
        let runs = [launched.run_id];
        let workers = [lake.worker(), lake.worker()];
        let (first, second) = tokio::join!(workers[0].work_off(&runs, &stop), workers[1].work_off(&runs, &stop));
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        first.and(second)
    };
    let (worked, highest) = tokio::join!(work, watch);
    worked.unwrap();
    assert_eq!(lake.outcome(launched).await, "succeeded: 60 succeeded");
    assert!((1..=2).contains(&highest), "{highest} steps of a pool of 2 ran at once");
}

#[tokio::test]
async fn higher_priority_runs_first() {
    let mut lake = open().await;
    lake.settings.slots = 1;
    lake.add_events(&[("2026-03-01T18:00:00Z", 1, 1), ("2026-03-01T19:00:00Z", 2, 10)]).await;
    // Asked for first, but less important.
    let checked = lake.launch(lake.request(&[("lake.checked", "2026-03-01")])).await;
    let seen = lake.launch(lake.request(&[("lake.seen", "2026-03-01")])).await;
    let stop = tokio_util::sync::CancellationToken::new();
    lake.worker().work_off(&[checked.run_id, seen.run_id], &stop).await.unwrap();
    assert_eq!(
        lake.text("select asset_key from karat.materialization order by materialization_id").await,
        "lake.seen\nlake.checked"
    );
}

#[tokio::test]
async fn what_takes_too_long_is_stopped_on_the_server_and_tried_again() {
    let lake = open().await;
    assert_eq!(lake.build(&[("lake.overdue", "all")]).await, "failed: 1 failed");
    assert_eq!(
        lake.text("select outcome, error_kind, error from karat.attempt order by lease_epoch").await,
        "failed | timeout | lake.overdue took longer than its time-out of 100ms and was stopped\n\
         failed | timeout | lake.overdue took longer than its time-out of 100ms and was stopped"
    );
    assert_eq!(
        lake.scalar::<i64>(
            "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
        )
        .await,
        0
    );
}

#[test]
fn delays_grow_vary_and_end() {
    let policy = RetryPolicy {
        retries: 4,
        delay: Duration::from_secs(1),
        exponential: true,
        delay_limit: Duration::from_secs(5),
        jitter: 0.2,
    };
    let delays = |random: f64| {
        (0..=5).map(|attempt| policy.delay_after(attempt, random).map(|delay| delay.as_millis())).collect::<Vec<_>>()
    };
    assert_eq!(delays(0.5), [None, Some(1000), Some(2000), Some(4000), Some(5000), None]);
    assert_eq!(delays(0.0), [None, Some(800), Some(1600), Some(3200), Some(4000), None]);
    assert_eq!(delays(1.0), [None, Some(1200), Some(2400), Some(4800), Some(6000), None]);
    assert_eq!(RetryPolicy::NONE.delay_after(1, 0.5), None);
    let fixed = RetryPolicy::fixed(2, Duration::from_secs(3));
    assert_eq!(
        [1, 2, 3].map(|attempt| fixed.delay_after(attempt, 0.9)),
        [Some(Duration::from_secs(3)), Some(Duration::from_secs(3)), None]
    );
    // Nonsense from a declaration is harmless.
    let odd = RetryPolicy { jitter: f64::NAN, ..policy };
    assert_eq!(odd.delay_after(1, f64::INFINITY), Some(Duration::from_secs(1)));
}
