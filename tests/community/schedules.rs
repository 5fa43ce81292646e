//! The nightly schedule of the platform.

use std::sync::Arc;

use chrono_tz::Europe::Berlin;
use karat::clock::ManualClock;
use karat::core::schedule::CatchUp;
use karat::daemon::{Reconciler, ReconcilerContext, Scheduler};
use karat::store::Store;

use crate::support::{Platform, at};

#[tokio::test]
async fn the_night_after_a_month_closes_builds_the_day_and_the_month() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-31T12:00:00Z").await;
    platform.build().await;
    let clock = Arc::new(ManualClock::new(at("2026-01-31T12:00:00Z")));
    let context = ReconcilerContext {
        store: Store::new(platform.pool.clone()),
        definitions: platform.definitions.clone(),
        clock: clock.clone(),
    };
    let activation = Scheduler.activate(&context).await.unwrap();
    assert_eq!(activation.next_at, Some(at("2026-02-01T02:15:00Z")));
    clock.set(at("2026-02-01T02:15:00Z"));
    Scheduler.activate(&context).await.unwrap();
    let steps: Vec<String> = sqlx::query_scalar(
        "select s.asset_key || ' ' || s.partition_key from karat.step s join karat.tick t using (run_id)
         where t.schedule = 'nightly' and t.outcome = 'launched' and t.message is null order by s.rank, s.asset_key",
    )
    .fetch_all(&platform.pool)
    .await
    .unwrap();
    assert_eq!(
        steps,
        [
            "silver.fact_game_sessions 2026-01-31",
            "silver.fact_voice_sessions 2026-01-31",
            "silver.user_activity 2026-01-31",
            "gold.daily_active_users 2026-01-31",
            "gold.retention_cohorts 2026-01",
            "gold.rolling_active_users 2026-01-31",
            "silver.dim_user all",
        ]
    );
}

#[tokio::test]
async fn nightly_looks_at_everything_and_catches_up_with_the_last_night() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-10T12:00:00Z").await;
    let [nightly] = platform.definitions.schedules() else { panic!("one schedule") };
    let built = platform.definitions.assets().filter(|asset| asset.is_materializable()).count();
    assert_eq!((nightly.assets.len(), nightly.catch_up), (built, CatchUp::Last));
    let (exit, output, errors) = platform.run(&["schedule", "ls"]);
    assert_eq!(exit, 0, "{errors}");
    assert!(output.contains("nightly   15 3 * * *"), "{output}");
}
