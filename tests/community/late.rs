//! Rows that come late: what they touch is rebuilt once, and nothing else runs.

use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Europe::Berlin;
use community::bronze::DiscordMessages;
use community::definitions::{definitions, migrations};
use karat::asset::calendar::Calendar;
use karat::testing::Simulation;

use crate::support::{at, day};

fn message(person: &str, when: &str, bot: bool) -> DiscordMessages {
    DiscordMessages {
        account_id: format!("discord:{person}"),
        at: at(when),
        message_id: at(when).timestamp(),
        guild_id: 10,
        channel_id: 31,
        characters: 7,
        bot,
    }
}

/// It is Monday, 4 May 2026, noon in Berlin; March, April and the days of May have been built from a few messages.
async fn settled() -> Simulation {
    let calendar = Calendar { zone: Berlin, first_day: day("2026-03-01") };
    let now = at("2026-05-04T09:00:00Z");
    let mut simulation = Simulation::new(definitions(calendar).unwrap(), migrations(), now).await.unwrap();
    let messages = [
        message("1", "2026-03-05T18:00:00Z", false),
        message("2", "2026-03-07T18:00:00Z", false),
        message("2", "2026-04-10T18:00:00Z", false),
        message("1", "2026-04-28T18:00:00Z", false),
    ];
    simulation.append(&messages).await.unwrap();
    simulation.run_until(at("2026-05-04T10:00:00Z"), Duration::from_secs(600)).await.unwrap();
    simulation
}

/// Everything that was published after the first `before` publications: how often each partition.
async fn published(simulation: &Simulation, before: i64) -> String {
    let lines: Vec<String> = sqlx::query_scalar(
        "select asset_key || ' ' || partition_key || ' ' || count(*)
         from karat.materialization where materialization_id > $1 group by asset_key, partition_key order by 1",
    )
    .bind(before)
    .fetch_all(simulation.pool())
    .await
    .unwrap();
    lines.join("\n")
}

async fn newest(simulation: &Simulation) -> i64 {
    sqlx::query_scalar("select max(materialization_id) from karat.materialization")
        .fetch_one(simulation.pool())
        .await
        .unwrap()
}

/// The reports of automation over the next three hours, minute by minute, as minutes after the rows landed.
async fn launches(simulation: &mut Simulation) -> Vec<i64> {
    let landed_at = simulation.now();
    let until = landed_at + TimeDelta::hours(3);
    let happened = simulation.run_until(until, Duration::from_secs(60)).await.unwrap();
    happened
        .reports()
        .filter(|(_, name, _)| *name == "automation")
        .map(|(at, _, _)| (at - landed_at).num_minutes())
        .collect()
}

#[tokio::test]
async fn a_message_of_last_week_rebuilds_its_day_its_month_and_who_people_are_once() {
    let mut simulation = settled().await;
    let before = newest(&simulation).await;
    simulation.append(&[message("2", "2026-04-28T20:00:00Z", false)]).await.unwrap();
    // Not before it has been quiet for a minute.
    assert!(simulation.step().await.unwrap().is_nothing());
    let status = simulation.status_text().await.unwrap();
    assert!(status.contains("stale 2026-04-28: 1 row landed in bronze.discord_messages since"), "{status}");
    // The day first, and a quiet minute later what reads it.
    assert_eq!(launches(&mut simulation).await, [1, 2]);
    assert_eq!(
        published(&simulation, before).await,
        "gold.daily_active_users 2026-04-28 1\n\
         gold.retention_cohorts 2026-04 1\n\
         gold.rolling_active_users 2026-04-28 1\n\
         gold.rolling_active_users 2026-04-29 1\n\
         gold.rolling_active_users 2026-04-30 1\n\
         gold.rolling_active_users 2026-05-01 1\n\
         gold.rolling_active_users 2026-05-02 1\n\
         gold.rolling_active_users 2026-05-03 1\n\
         silver.dim_user all 1\n\
         silver.user_activity 2026-04-28 1"
    );
    let users: i64 = sqlx::query_scalar("select users from gold.daily_active_users where day = '2026-04-28'")
        .fetch_one(simulation.pool())
        .await
        .unwrap();
    assert_eq!(users, 2);
}

#[tokio::test]
async fn a_row_that_changes_nothing_ends_the_wave_at_the_first_level() {
    let mut simulation = settled().await;
    let before = newest(&simulation).await;
    simulation.append(&[message("3", "2026-04-28T20:00:00Z", true)]).await.unwrap();
    assert_eq!(launches(&mut simulation).await, [1], "a bot is nobody");
    assert_eq!(published(&simulation, before).await, "silver.user_activity 2026-04-28 1");
}

#[tokio::test]
async fn rows_that_keep_coming_are_waited_for() {
    let mut simulation = settled().await;
    let before = newest(&simulation).await;
    for second in 0..9 {
        let when = format!("2026-04-28T20:00:0{second}Z");
        simulation.append(&[message("2", &when, false)]).await.unwrap();
        assert!(simulation.advance(Duration::from_secs(30)).await.unwrap().is_nothing());
    }
    launches(&mut simulation).await;
    assert_eq!(published(&simulation, before).await.lines().last().unwrap(), "silver.user_activity 2026-04-28 1");
}
