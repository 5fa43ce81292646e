//! Marks are merged without any answer changing by it.

use std::time::Duration;

use chrono::TimeDelta;
use karat::clock::Clock;
use karat::engine::marks::file_marks;
use karat::engine::status::asset_statuses;
use sqlx::PgConnection;

use crate::lake::Lake;

const DAILY: &str = "lake.daily_totals";

/// Everything that marks are asked.
async fn answers(lake: &Lake) -> String {
    let keys: Vec<_> =
        ["lake.events", DAILY].iter().map(|key| lake.definitions.find(key).unwrap().key.clone()).collect();
    let statuses = asset_statuses(&lake.store, &lake.definitions, &keys, lake.clock.now()).await.unwrap();
    let events = &statuses[&keys[0]];
    format!("{} rows {:?} {:?}\n{}", events.row_count, events.newest_at, events.materialized, lake.late(DAILY).await)
}

async fn merge(lake: &Lake) -> u64 {
    file_marks(&lake.store, &lake.definitions).await.unwrap();
    lake.store.compact_marks("lake.events", &[DAILY], lake.clock.now() + TimeDelta::hours(1)).await.unwrap()
}

/// Merges until so many marks are gone: the server may look after a table in between, which holds merging up.
async fn merges(lake: &Lake, expected: u64) {
    let mut merged = merge(lake).await;
    for _ in 0..1_000 {
        if merged >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        merged += merge(lake).await;
    }
    assert_eq!((merged, merge(lake).await), (expected, 0));
}

#[tokio::test]
async fn what_every_reader_has_seen_becomes_one_mark_per_partition_and_writer() {
    let lake = Lake::open().await;
    for id in 0..10 {
        lake.add_events(&[("2026-03-02T10:00:00Z", id, 1), ("2026-03-03T10:00:00Z", id, 1)]).await;
        lake.clock.advance(Duration::from_secs(60));
    }
    lake.build(&[(DAILY, "2026-03-02..2026-03-03")]).await;
    for id in 10..13 {
        lake.add_events(&[("2026-03-02T10:00:00Z", id, 1)]).await;
    }
    let before = answers(&lake).await;
    assert!(before.contains("2026-03-02: 3 rows landed"), "{before}");
    merges(&lake, 9 + 9 + 2).await;
    assert_eq!(
        lake.text("select partition_key, row_count from karat.mark order by 1, 2 desc").await,
        "2026-03-02 | 10\n2026-03-02 | 3\n2026-03-03 | 10"
    );
    assert_eq!(answers(&lake).await, before);
    // What is too new for others to have looked at stays.
    lake.add_events(&[("2026-03-03T10:00:00Z", 20, 1)]).await;
    lake.add_events(&[("2026-03-03T10:00:00Z", 21, 1)]).await;
    let hour_ago = lake.clock.now() - TimeDelta::hours(1);
    assert_eq!(lake.store.compact_marks("lake.events", &[DAILY], hour_ago).await.unwrap(), 0);
}

#[tokio::test]
async fn a_transaction_under_way_keeps_apart_what_it_does_not_see() {
    let lake = Lake::open().await;
    lake.add_events(&[("2026-03-02T10:00:00Z", 1, 1)]).await;
    let mut reader = lake.stranger("reader").await;
    sqlx::raw_sql("begin isolation level repeatable read; select 1 from karat.mark")
        .execute(&mut reader)
        .await
        .unwrap();
    lake.add_events(&[("2026-03-02T10:00:00Z", 2, 1)]).await;
    lake.add_events(&[("2026-03-02T10:00:00Z", 3, 1)]).await;
    assert_eq!(merge(&lake).await, 0);
    sqlx::raw_sql("commit").execute(&mut reader).await.unwrap();
    merges(&lake, 2).await;
}

/// Numbers that look random and come again with the same seed (splitmix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }
}

/// A writer, a builder and a janitor in random order, some writers open over several turns: after each merge every
/// answer is what it was, and in the end nothing is lost.
#[tokio::test]
async fn merging_changes_no_answer_whatever_goes_on_beside_it() {
    for seed in 0..4 {
        let mut random = Draws(seed);
        let lake = Lake::open().await;
        lake.install_triggers().await;
        let mut open: Vec<PgConnection> = Vec::new();
        let mut id = 0;
        for turn in 0..60 {
            id += 1;
            let day = 1 + random.below(4);
            match random.below(8) {
                0 | 1 => _ = lake.add_events(&[(&format!("2026-03-0{day}T10:00:00Z"), id, 1)]).await,
                2 | 3 => {
                    let mut writer = lake.stranger(["psql", "script"][random.index(2)]).await;
                    sqlx::raw_sql("begin; set local karat.clock = '2026-05-01T12:00:00Z'")
                        .execute(&mut writer)
                        .await
                        .unwrap();
                    let insert = "insert into lake.events values (make_timestamptz(2026, 3, $1, 10, 0, 0), $2, 1)";
                    sqlx::query(insert).bind(i32::try_from(day).unwrap()).bind(id).execute(&mut writer).await.unwrap();
                    open.push(writer);
                }
                4 if !open.is_empty() => {
                    let mut writer = open.swap_remove(random.index(open.len()));
                    let end = if random.below(5) > 0 { "commit" } else { "rollback" };
                    sqlx::query(end).execute(&mut writer).await.unwrap();
                }
                5 => {
                    lake.build(&[(DAILY, &format!("2026-03-0{day}"))]).await;
                }
                _ => {
                    let before = answers(&lake).await;
                    merge(&lake).await;
                    assert_eq!(answers(&lake).await, before, "seed {seed}, turn {turn}");
                }
            }
            lake.clock.advance(Duration::from_secs(1));
        }
        for mut writer in open {
            sqlx::query("commit").execute(&mut writer).await.unwrap();
        }
        // Whatever is not stale by now is right.
        let mut request = lake.request(&[(DAILY, "2026-03-01..2026-03-04")]);
        request.only_if_stale = request.plan.keys().cloned().collect();
        let launched = lake.launch(request).await;
        lake.work_off(launched).await.unwrap();
        assert_eq!(lake.late(DAILY).await, "", "seed {seed}");
        let right =
            "select (select count(*) from lake.events) = (select coalesce(sum(events), 0) from lake.daily_totals)";
        assert!(lake.scalar::<bool>(right).await, "seed {seed}");
        file_marks(&lake.store, &lake.definitions).await.unwrap();
        // When all days have looked again, one mark for each day and writer is left.
        lake.build(&[(DAILY, "2026-03-01..2026-03-04")]).await;
        let least = "select count(*)::bigint from (select distinct partition_key, writer from karat.mark) m";
        let (all, least) =
            (lake.scalar::<i64>("select count(*) from karat.mark").await, lake.scalar::<i64>(least).await);
        merges(&lake, (all - least).unsigned_abs()).await;
    }
}
