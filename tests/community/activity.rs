//! Silver to gold on a handful of rows: `user_activity`, `dim_user`, `daily_active_users`, `retention_cohorts`.

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use community::bronze::{
    ChatMessages, DiscordConnection, DiscordMembers, DiscordMessages, DiscordVoiceStates, IdentityLinks,
};
use community::collect::ingest::Source;
use community::gold::{DailyActiveUsers, RetentionCohorts, RollingActiveUsers};
use community::silver::{DimUser, UserActivity};
use karat::asset::declare::Asset;

use crate::ingest::{CHAT, CS2, GATEWAY, LINKS};
use crate::support::{Platform, at, day};

fn message(account_id: &str, when: &str, message_id: i64, characters: i32) -> DiscordMessages {
    DiscordMessages {
        account_id: account_id.to_owned(),
        at: at(when),
        message_id,
        guild_id: 10,
        channel_id: 31,
        characters,
        bot: false,
    }
}

fn chat(account_id: &str, when: &str) -> ChatMessages {
    ChatMessages { account_id: account_id.to_owned(), at: at(when), sequence: 1 }
}

fn activity(person_id: &str, on: &str, figures: [i64; 4]) -> UserActivity {
    let [messages, characters, voice_seconds, game_seconds] = figures;
    UserActivity { person_id: person_id.to_owned(), day: day(on), messages, characters, voice_seconds, game_seconds }
}

#[tokio::test]
async fn the_fixtures_from_bronze_to_gold() {
    let platform = Platform::new(Berlin, "2026-01-10", "2026-01-13T12:00:00Z").await;
    for (source, text) in [(Source::Discord, GATEWAY), (Source::Cs2, CS2), (Source::Irc, CHAT), (Source::Links, LINKS)]
    {
        platform.ingest_in(source, Berlin, text).await;
    }
    platform.build().await;
    // discord:21, steam:…362, irc:7 and irc:9 are one person. The AFK channel of discord:22 does not count.
    let rows: Vec<UserActivity> = platform.rows("day, person_id").await;
    assert_eq!(
        rows,
        [
            activity("discord:21", "2026-01-11", [4, 16, 1_300, 1_740]),
            activity("discord:22", "2026-01-11", [0, 0, 300, 0]),
            activity("irc:8", "2026-01-11", [1, 0, 0, 0]),
            activity("steam:76561198051645363", "2026-01-11", [0, 0, 0, 660]),
            activity("discord:21", "2026-01-12", [1, 0, 0, 0]),
        ]
    );
    let rows: Vec<DailyActiveUsers> = platform.rows("day").await;
    assert_eq!(
        rows,
        [
            DailyActiveUsers { day: day("2026-01-11"), users: 4, voice_users: 2, chat_users: 2, game_users: 2 },
            DailyActiveUsers { day: day("2026-01-12"), users: 1, voice_users: 0, chat_users: 1, game_users: 0 },
        ]
    );
    let rows: Vec<DimUser> = platform.rows("person_id").await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        rows,
        [
            DimUser {
                person_id: "discord:21".to_owned(),
                discord_id: text("21"),
                steamid64: text("76561198051645362"),
                irc_nick: text("7"),
                accounts: 4,
                member_since: Some(at("2026-01-11T08:30:00.250Z")),
                first_active_on: Some(day("2026-01-11")),
                last_active_on: Some(day("2026-01-12")),
            },
            DimUser {
                person_id: "discord:22".to_owned(),
                discord_id: text("22"),
                steamid64: None,
                irc_nick: None,
                accounts: 1,
                member_since: Some(at("2026-01-11T16:03:00Z")),
                first_active_on: Some(day("2026-01-11")),
                last_active_on: Some(day("2026-01-11")),
            },
            DimUser {
                person_id: "irc:8".to_owned(),
                discord_id: None,
                steamid64: None,
                irc_nick: text("8"),
                accounts: 1,
                member_since: None,
                first_active_on: Some(day("2026-01-11")),
                last_active_on: Some(day("2026-01-11")),
            },
            DimUser {
                person_id: "steam:76561198051645363".to_owned(),
                discord_id: None,
                steamid64: text("76561198051645363"),
                irc_nick: None,
                accounts: 1,
                member_since: None,
                first_active_on: Some(day("2026-01-11")),
                last_active_on: Some(day("2026-01-11")),
            },
        ]
    );
}

#[tokio::test]
async fn days_are_the_communitys_and_bots_are_nobody() {
    let platform = Platform::new(Berlin, "2026-03-28", "2026-03-31T12:00:00Z").await;
    platform
        .append(&[
            // 28 March ends at 23:00 UTC, 29 March at 22:00.
            message("discord:1", "2026-03-28T22:59:59.999Z", 1, 5),
            message("discord:1", "2026-03-28T23:00:00Z", 2, 7),
            message("discord:1", "2026-03-29T21:59:59.999Z", 3, 11),
            message("discord:1", "2026-03-29T22:00:00Z", 4, 13),
            DiscordMessages { bot: true, ..message("discord:9", "2026-03-29T12:00:00Z", 5, 17) },
        ])
        .await;
    platform
        .append(&[DiscordMembers {
            account_id: "discord:9".to_owned(),
            at: at("2026-03-28T12:00:00Z"),
            guild_id: 10,
            change: "joined".to_owned(),
            bot: true,
        }])
        .await;
    platform.build().await;
    let rows: Vec<UserActivity> = platform.rows("day").await;
    assert_eq!(
        rows,
        [
            activity("discord:1", "2026-03-28", [1, 5, 0, 0]),
            activity("discord:1", "2026-03-29", [2, 18, 0, 0]),
            activity("discord:1", "2026-03-30", [1, 13, 0, 0]),
        ]
    );
    let people: Vec<DimUser> = platform.rows("person_id").await;
    assert_eq!(people.len(), 1);
}

#[tokio::test]
async fn afk_time_alone_is_no_activity() {
    let platform = Platform::new(Tz::UTC, "2026-01-11", "2026-01-12T12:00:00Z").await;
    let state = |when, channel_id| DiscordVoiceStates {
        account_id: "discord:1".to_owned(),
        at: at(when),
        guild_id: 10,
        sequence: 0,
        channel_id,
        afk: true,
        bot: false,
        snapshot: false,
        voice_session: None,
    };
    platform.append(&[state("2026-01-11T10:00:00Z", Some(9)), state("2026-01-11T10:05:00Z", None)]).await;
    platform
        .append(&[DiscordConnection { at: at("2026-01-11T10:06:00Z"), guild_id: 0, kind: "connected".to_owned() }])
        .await;
    platform.build().await;
    let counts = platform.row_counts().await;
    assert_eq!(counts.get("silver.fact_voice_sessions"), Some(&1));
    assert_eq!(counts.get("silver.user_activity"), Some(&0));
}

#[tokio::test]
async fn cohorts_are_months_of_first_activity() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-04-15T12:00:00Z").await;
    let months = [
        ("irc:1", &["2026-01-05", "2026-02-05", "2026-03-31"][..]),
        ("irc:2", &["2026-01-31", "2026-03-01"]),
        ("irc:3", &["2026-02-28"]),
        ("irc:4", &["2026-02-01", "2026-02-02", "2026-03-02", "2026-04-01"]),
        // One person with irc:3: their first month is January.
        ("irc:5", &["2026-01-20"]),
    ];
    let rows: Vec<ChatMessages> = months
        .iter()
        .flat_map(|(account, days)| days.iter().map(|day| chat(account, &format!("{day}T12:00:00Z"))))
        .collect();
    platform.append(&rows).await;
    let linked =
        IdentityLinks { account_id: "irc:5".to_owned(), same_as: "irc:3".to_owned(), source: "test".to_owned() };
    platform.append(&[linked]).await;
    platform.build().await;
    let found: Vec<RetentionCohorts> = platform.rows("cohort_month, month").await;
    let row = |cohort: &str, months_since: i32, users: i64| {
        let cohort_month: NaiveDate = day(cohort);
        let month = cohort_month + chrono::Months::new(u32::try_from(months_since).unwrap());
        RetentionCohorts { month, cohort_month, months_since, users }
    };
    assert_eq!(
        found,
        [
            row("2026-01-01", 0, 3),
            row("2026-01-01", 1, 2),
            row("2026-01-01", 2, 2),
            row("2026-02-01", 0, 1),
            row("2026-02-01", 1, 1),
            row("2026-02-01", 2, 1),
        ]
    );
}

/// What is built as ranges must be what is built one by one.
#[tokio::test]
async fn ranges_give_what_single_partitions_give() {
    for zone in [Berlin, Tz::America__Santiago] {
        let platform = Platform::new(zone, "2025-08-20", "2026-05-01T12:00:00Z").await;
        let mut moment = at("2025-08-20T12:00:00Z");
        let mut rows = Vec::new();
        let mut random = crate::support::Random::new(7);
        while moment < at("2026-05-01T00:00:00Z") {
            moment += TimeDelta::minutes(random.below(600).cast_signed());
            rows.push(ChatMessages { account_id: format!("irc:{}", random.below(40)), at: moment, sequence: 1 });
        }
        platform.append(&rows).await;
        platform.build().await;
        let ranges = tables(&platform).await;
        assert!(ranges.iter().all(|rows| !rows.is_empty()));
        for key in [UserActivity::KEY, DailyActiveUsers::KEY, RetentionCohorts::KEY] {
            let partitions = &platform.definitions.asset(&key).unwrap().partitions;
            let plan = [(key, partitions.existing(at("2026-05-01T12:00:00Z")))].into();
            platform.build_plan(plan, true).await;
        }
        assert_eq!(tables(&platform).await, ranges, "{zone}");
    }
}

async fn tables(platform: &Platform) -> [Vec<String>; 3] {
    let activity: Vec<UserActivity> = platform.rows("day, person_id").await;
    let daily: Vec<DailyActiveUsers> = platform.rows("day").await;
    let cohorts: Vec<RetentionCohorts> = platform.rows("month, cohort_month").await;
    let text = |rows: &[&dyn std::fmt::Debug]| rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
    [
        text(&activity.iter().map(|row| row as _).collect::<Vec<_>>()),
        text(&daily.iter().map(|row| row as _).collect::<Vec<_>>()),
        text(&cohorts.iter().map(|row| row as _).collect::<Vec<_>>()),
    ]
}

#[tokio::test]
async fn a_week_and_a_month_count_everybody_once() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-03-05T12:00:00Z").await;
    platform
        .append(&[
            // One person on three days of a week, another a day before the week's last.
            message("discord:1", "2026-01-05T12:00:00Z", 1, 5),
            message("discord:1", "2026-01-07T12:00:00Z", 2, 5),
            message("discord:1", "2026-01-11T12:00:00Z", 3, 5),
            message("discord:2", "2026-01-10T12:00:00Z", 4, 5),
        ])
        .await;
    platform.append(&[chat("irc:3", "2026-01-11T22:59:59Z"), chat("irc:3", "2026-01-11T23:00:00Z")]).await;
    platform.build().await;
    let rows: Vec<RollingActiveUsers> = platform.rows("day").await;
    let figures = |on: &str| {
        let row = rows.iter().find(|row| row.day == day(on))?;
        assert_eq!((row.monthly_voice_users, row.monthly_game_users, row.voice_stickiness), (0, 0, None));
        assert_eq!((row.daily_chat_users, row.monthly_chat_users), (row.daily_users, row.monthly_users));
        assert_eq!(row.chat_stickiness, Some(row.stickiness));
        Some((row.daily_users, row.weekly_users, row.monthly_users, row.stickiness))
    };
    assert_eq!(figures("2026-01-04"), None, "before anybody");
    assert_eq!(figures("2026-01-05"), Some((1, 1, 1, 1.0)));
    assert_eq!(figures("2026-01-06"), Some((0, 1, 1, 0.0)), "a day without anybody, in a month with somebody");
    assert_eq!(figures("2026-01-10"), Some((1, 2, 2, 0.5)));
    assert_eq!(figures("2026-01-11"), Some((2, 3, 3, 2.0 / 3.0)), "midnight is Berlin's");
    assert_eq!(figures("2026-01-12"), Some((1, 3, 3, 1.0 / 3.0)));
    assert_eq!(figures("2026-01-16"), Some((0, 3, 3, 0.0)), "the 7 days from the 10th on");
    assert_eq!(figures("2026-01-17"), Some((0, 2, 3, 0.0)));
    assert_eq!(figures("2026-01-19"), Some((0, 0, 3, 0.0)));
    assert_eq!(figures("2026-02-08"), Some((0, 0, 3, 0.0)), "the 30 days from the 10th of January on");
    assert_eq!(figures("2026-02-09"), Some((0, 0, 2, 0.0)));
    assert_eq!(figures("2026-02-10"), Some((0, 0, 1, 0.0)));
    assert_eq!(figures("2026-02-11"), None, "a month without anybody");
    assert_eq!(rows.len(), 37);
}

#[tokio::test]
async fn rolling_figures_are_the_same_day_by_day_and_in_ranges_and_as_counted_plainly() {
    let platform = Platform::new(Berlin, "2026-01-10", "2026-03-05T12:00:00Z").await;
    for (source, text) in [(Source::Discord, GATEWAY), (Source::Cs2, CS2), (Source::Irc, CHAT), (Source::Links, LINKS)]
    {
        platform.ingest_in(source, Berlin, text).await;
    }
    platform.build().await;
    let together: Vec<RollingActiveUsers> = platform.rows("day").await;
    let now = at("2026-03-05T12:00:00Z");
    let spec = platform.definitions.asset(&RollingActiveUsers::KEY).unwrap();
    let plan = [(RollingActiveUsers::KEY, spec.partitions.existing(now))].into();
    platform.build_plan(plan, true).await;
    let one_by_one: Vec<RollingActiveUsers> = platform.rows("day").await;
    assert_eq!(one_by_one, together);
    let plainly: Vec<(NaiveDate, i64, i64, i64, i64)> = sqlx::query_as(
        "select d::date,
             (select count(distinct person_id) from silver.user_activity where day = d::date),
             (select count(distinct person_id) from silver.user_activity where day between d::date - 6 and d::date),
             (select count(distinct person_id) from silver.user_activity where day between d::date - 29 and d::date),
             (select count(distinct person_id) from silver.user_activity
              where day between d::date - 6 and d::date and game_seconds > 0)
         from generate_series(date '2026-01-11', date '2026-02-10', interval '1 day') as d order by d",
    )
    .fetch_all(&platform.pool)
    .await
    .unwrap();
    let found: Vec<(NaiveDate, i64, i64, i64, i64)> = together
        .iter()
        .map(|row| (row.day, row.daily_users, row.weekly_users, row.monthly_users, row.weekly_game_users))
        .collect();
    assert_eq!(found, plainly);
}
