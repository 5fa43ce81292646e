//! Voice states in, sessions out: every rule alone, and all of them together against a second telling of the rules.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use community::bronze::{DiscordConnection, DiscordVoiceStates};
use community::silver::FactVoiceSessions;
use karat::asset::declare::Asset;
use karat::core::time::start_of_day;

use crate::support::{Platform, Random, at, day};

const GUILD: i64 = 10;

fn state(account: &str, when: &str, channel_id: Option<i64>) -> DiscordVoiceStates {
    DiscordVoiceStates {
        account_id: account.to_owned(),
        at: at(when),
        guild_id: GUILD,
        sequence: 0,
        channel_id,
        afk: false,
        bot: false,
        snapshot: false,
        voice_session: None,
    }
}

fn evidence(from: &str, to: &str) -> Vec<DiscordConnection> {
    let (mut moment, end) = (at(from), at(to));
    let mut rows = Vec::new();
    while moment < end {
        rows.push(connected(moment));
        moment += TimeDelta::minutes(5);
    }
    rows.push(connected(end));
    rows
}

fn connected(at: DateTime<Utc>) -> DiscordConnection {
    DiscordConnection { at, guild_id: 0, kind: "connected".to_owned() }
}

fn snapshot(when: &str) -> DiscordConnection {
    DiscordConnection { at: at(when), guild_id: GUILD, kind: "snapshot".to_owned() }
}

/// Sessions as `account channel start–end reason`, with `(afk)`; times in UTC.
async fn sessions(zone: Tz, states: &[DiscordVoiceStates], connection: &[DiscordConnection]) -> Vec<String> {
    let platform = Platform::new(zone, "2026-01-10", "2026-01-13T12:00:00Z").await;
    platform.append(states).await;
    platform.append(connection).await;
    platform.build_only::<FactVoiceSessions>().await;
    let rows: Vec<FactVoiceSessions> = platform.rows("started_at, account_id").await;
    for row in &rows {
        assert_eq!(row.seconds, (row.ended_at - row.started_at).num_seconds(), "{row:?}");
        assert!(row.started_at >= start_of_day(row.day, zone), "{row:?}");
        assert!(row.ended_at <= start_of_day(row.day.succ_opt().unwrap(), zone), "{row:?}");
    }
    rows.iter()
        .map(|row| {
            let time = |instant: DateTime<Utc>| instant.format("%dT%H:%M:%S").to_string();
            let afk = if row.afk { " (afk)" } else { "" };
            format!(
                "{} {}{afk} {}–{} {}",
                row.account_id,
                row.channel_id,
                time(row.started_at),
                time(row.ended_at),
                row.end_reason
            )
        })
        .collect()
}

#[tokio::test]
async fn join_and_leave() {
    let found = sessions(
        Tz::UTC,
        &[state("a", "2026-01-11T10:00:00Z", Some(1)), state("a", "2026-01-11T10:30:00Z", None)],
        &evidence("2026-01-11T09:00:00Z", "2026-01-11T12:00:00Z"),
    )
    .await;
    assert_eq!(found, ["a 1 11T10:00:00–11T10:30:00 left"]);
}

#[tokio::test]
async fn a_switch_ends_one_session_and_begins_the_next_at_the_same_instant() {
    let found = sessions(
        Tz::UTC,
        &[
            state("a", "2026-01-11T10:00:00Z", Some(1)),
            // A microphone was muted: nothing changes.
            state("a", "2026-01-11T10:05:00Z", Some(1)),
            state("a", "2026-01-11T10:10:00Z", Some(2)),
            state("a", "2026-01-11T10:30:00Z", None),
            // Leaving twice is leaving once.
            state("a", "2026-01-11T10:31:00Z", None),
        ],
        &evidence("2026-01-11T09:00:00Z", "2026-01-11T12:00:00Z"),
    )
    .await;
    assert_eq!(found, ["a 1 11T10:00:00–11T10:10:00 switched", "a 2 11T10:10:00–11T10:30:00 left"]);
}

#[tokio::test]
async fn states_of_one_instant_count_in_their_order() {
    let second =
        |sequence, channel_id| DiscordVoiceStates { sequence, ..state("a", "2026-01-11T10:10:00Z", channel_id) };
    let found = sessions(
        Tz::UTC,
        &[
            state("a", "2026-01-11T10:00:00Z", Some(1)),
            second(7, None),
            second(8, Some(1)),
            state("a", "2026-01-11T10:30:00Z", None),
        ],
        &evidence("2026-01-11T09:00:00Z", "2026-01-11T12:00:00Z"),
    )
    .await;
    assert_eq!(found, ["a 1 11T10:00:00–11T10:10:00 left", "a 1 11T10:10:00–11T10:30:00 left"]);
}

#[tokio::test]
async fn the_afk_channel_is_a_session_of_its_own_and_bots_have_none() {
    let found = sessions(
        Tz::UTC,
        &[
            state("a", "2026-01-11T10:00:00Z", Some(1)),
            DiscordVoiceStates { afk: true, ..state("a", "2026-01-11T10:20:00Z", Some(9)) },
            state("a", "2026-01-11T10:30:00Z", None),
            DiscordVoiceStates { bot: true, ..state("robot", "2026-01-11T10:00:00Z", Some(1)) },
        ],
        &evidence("2026-01-11T09:00:00Z", "2026-01-11T12:00:00Z"),
    )
    .await;
    assert_eq!(found, ["a 1 11T10:00:00–11T10:20:00 switched", "a 9 (afk) 11T10:20:00–11T10:30:00 left"]);
}

#[tokio::test]
async fn a_session_is_split_at_local_midnight_and_keeps_its_id() {
    let platform = Platform::new(Berlin, "2026-01-10", "2026-01-13T12:00:00Z").await;
    platform.append(&[state("a", "2026-01-10T22:00:00Z", Some(1)), state("a", "2026-01-11T23:30:00Z", None)]).await;
    platform.append(&evidence("2026-01-10T21:00:00Z", "2026-01-12T12:00:00Z")).await;
    platform.build_only::<FactVoiceSessions>().await;
    let rows: Vec<FactVoiceSessions> = platform.rows("day").await;
    let found: Vec<_> = rows.iter().map(|row| (row.day, row.seconds, row.end_reason.as_str())).collect();
    assert_eq!(
        found,
        [
            (day("2026-01-10"), 3_600, "midnight"),
            (day("2026-01-11"), 86_400, "midnight"),
            (day("2026-01-12"), 1_800, "left"),
        ]
    );
    let ids: BTreeSet<_> = rows.iter().map(|row| row.session_id.as_str()).collect();
    assert_eq!(ids, BTreeSet::from(["a/10/1/1768082400000"]));
}

#[tokio::test]
async fn a_day_of_23_hours_has_23_hours_of_talk() {
    let platform = Platform::new(Berlin, "2026-03-28", "2026-03-31T12:00:00Z").await;
    platform.append(&[state("a", "2026-03-28T12:00:00Z", Some(1)), state("a", "2026-03-30T12:00:00Z", None)]).await;
    platform.append(&evidence("2026-03-28T11:00:00Z", "2026-03-30T13:00:00Z")).await;
    platform.build_only::<FactVoiceSessions>().await;
    let rows: Vec<FactVoiceSessions> = platform.rows("day").await;
    let seconds: Vec<_> = rows.iter().map(|row| row.seconds).collect();
    assert_eq!(seconds, [11 * 3_600, 23 * 3_600, 14 * 3_600]);
}

#[tokio::test]
async fn a_leave_that_was_missed_ends_with_the_last_evidence() {
    let mut connection = evidence("2026-01-11T09:00:00Z", "2026-01-11T10:07:00Z");
    connection.extend(evidence("2026-01-11T10:40:00Z", "2026-01-11T12:00:00Z"));
    let found = sessions(
        Tz::UTC,
        &[
            state("a", "2026-01-11T10:00:00Z", Some(1)),
            // Back in the same channel after the silence: whether it was one session is not known, so it is two.
            state("a", "2026-01-11T10:45:00Z", Some(1)),
            state("a", "2026-01-11T10:50:00Z", None),
            // Never heard of again.
            state("b", "2026-01-11T11:50:00Z", Some(1)),
        ],
        &connection,
    )
    .await;
    assert_eq!(
        found,
        [
            "a 1 11T10:00:00–11T10:07:00 last_evidence",
            "a 1 11T10:45:00–11T10:50:00 left",
            "b 1 11T11:50:00–11T12:00:00 last_evidence",
        ]
    );
}

#[tokio::test]
async fn a_restart_is_reconciled_with_the_list_of_who_is_there() {
    let mut connection = evidence("2026-01-11T09:00:00Z", "2026-01-11T10:07:00Z");
    connection.extend(evidence("2026-01-11T10:12:00Z", "2026-01-11T12:00:00Z"));
    connection.push(snapshot("2026-01-11T10:12:00Z"));
    let listed = |account, channel| DiscordVoiceStates {
        snapshot: true,
        ..state(account, "2026-01-11T10:12:00Z", Some(channel))
    };
    let found = sessions(
        Tz::UTC,
        &[
            state("gone", "2026-01-11T10:00:00Z", Some(1)),
            state("moved", "2026-01-11T10:00:00Z", Some(1)),
            state("stayed", "2026-01-11T10:00:00Z", Some(1)),
            listed("moved", 2),
            listed("stayed", 1),
            listed("came", 1),
            state("came", "2026-01-11T11:00:00Z", None),
            state("moved", "2026-01-11T11:00:00Z", None),
            state("stayed", "2026-01-11T11:00:00Z", None),
        ],
        &connection,
    )
    .await;
    assert_eq!(
        found,
        [
            "gone 1 11T10:00:00–11T10:07:00 restart",
            "moved 1 11T10:00:00–11T10:07:00 restart",
            "stayed 1 11T10:00:00–11T11:00:00 left",
            "came 1 11T10:12:00–11T11:00:00 left",
            "moved 2 11T10:12:00–11T11:00:00 left",
        ]
    );
}

#[tokio::test]
async fn another_guilds_list_contradicts_nobody() {
    let mut connection = evidence("2026-01-11T09:00:00Z", "2026-01-11T12:00:00Z");
    connection.push(DiscordConnection { guild_id: GUILD + 1, ..snapshot("2026-01-11T10:10:00Z") });
    let found = sessions(
        Tz::UTC,
        &[state("a", "2026-01-11T10:00:00Z", Some(1)), state("a", "2026-01-11T10:30:00Z", None)],
        &connection,
    )
    .await;
    assert_eq!(found, ["a 1 11T10:00:00–11T10:30:00 left"]);
}

#[tokio::test]
async fn an_open_session_at_midnight_goes_on_only_while_the_bot_is_there() {
    let mut connection = evidence("2026-01-11T20:00:00Z", "2026-01-11T23:50:00Z");
    connection.extend(evidence("2026-01-12T00:02:00Z", "2026-01-12T00:40:00Z"));
    let found = sessions(Tz::UTC, &[state("a", "2026-01-11T21:00:00Z", Some(1))], &connection).await;
    assert_eq!(found, ["a 1 11T21:00:00–12T00:00:00 midnight", "a 1 12T00:00:00–12T00:40:00 last_evidence"]);
    let connection = evidence("2026-01-11T20:00:00Z", "2026-01-11T23:40:00Z");
    let found = sessions(Tz::UTC, &[state("a", "2026-01-11T21:00:00Z", Some(1))], &connection).await;
    assert_eq!(found, ["a 1 11T21:00:00–11T23:40:00 last_evidence"]);
}

/// One row as the second telling of the rules has it: account, channel, afk, start, end, reason.
type Told = (String, i64, bool, DateTime<Utc>, DateTime<Utc>, &'static str);

/// The rules told once more, as one walk through time.
fn told(
    states: &[DiscordVoiceStates],
    connection: &[DiscordConnection],
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> BTreeSet<Told> {
    #[derive(Clone)]
    struct Open {
        channel: i64,
        afk: bool,
        since: DateTime<Utc>,
    }
    let mut moments: BTreeMap<DateTime<Utc>, (Vec<&DiscordVoiceStates>, BTreeSet<i64>)> = BTreeMap::new();
    for row in connection.iter().filter(|row| row.at < end) {
        let (_, lists) = moments.entry(row.at).or_default();
        if row.kind == "snapshot" {
            lists.insert(row.guild_id);
        }
    }
    for row in states.iter().filter(|row| row.at < end) {
        moments.entry(row.at).or_default().0.push(row);
    }
    let mut open: BTreeMap<(String, i64), Open> = BTreeMap::new();
    let mut rows = BTreeSet::new();
    let mut close = |account: &str, was: Open, until: DateTime<Utc>, reason: &'static str| {
        let from = was.since.max(start);
        if until > from {
            rows.insert((account.to_owned(), was.channel, was.afk, from, until, reason));
        }
    };
    let mut before: Option<DateTime<Utc>> = None;
    for (now, (mut states, lists)) in moments {
        if let Some(before) = before
            && now - before > TimeDelta::minutes(15)
        {
            for ((account, _), was) in std::mem::take(&mut open) {
                close(&account, was, before, "last_evidence");
            }
        }
        let known_until = before.unwrap_or(now);
        let present: BTreeSet<_> = states.iter().map(|state| (state.account_id.clone(), state.guild_id)).collect();
        let absent: Vec<_> =
            open.keys().filter(|key| lists.contains(&key.1) && !present.contains(*key)).cloned().collect();
        for key in absent {
            let was = open.remove(&key).unwrap();
            close(&key.0, was, known_until, "restart");
        }
        states.sort_by_key(|state| state.sequence);
        for state in states {
            let key = (state.account_id.clone(), state.guild_id);
            let next = state.channel_id.map(|channel| Open { channel, afk: state.afk, since: now });
            match (open.remove(&key), next) {
                (Some(was), Some(next)) if (was.channel, was.afk) == (next.channel, next.afk) => {
                    open.insert(key, was);
                }
                (was, next) => {
                    if let Some(was) = was {
                        let reason = match (&next, state.snapshot) {
                            (_, true) => "restart",
                            (None, false) => "left",
                            (Some(_), false) => "switched",
                        };
                        close(&key.0, was, if state.snapshot { known_until } else { now }, reason);
                    }
                    if let Some(next) = next {
                        open.insert(key, next);
                    }
                }
            }
        }
        before = Some(now);
    }
    if let Some(before) = before {
        let (until, reason) =
            if end - before > TimeDelta::minutes(15) { (before, "last_evidence") } else { (end, "midnight") };
        for ((account, _), was) in open {
            close(&account, was, until, reason);
        }
    }
    rows
}

#[tokio::test]
async fn a_wild_week_in_berlin_equals_the_second_telling_of_the_rules() {
    // With the day of 23 hours.
    wild_week(Berlin, "2026-03-26", "2026-04-01T12:00:00Z").await;
}

#[tokio::test]
async fn a_wild_week_in_havana_equals_the_second_telling_of_the_rules() {
    // On 1 November the clock goes back from one o'clock to midnight: the day begins with the first of two midnights.
    wild_week(Tz::America__Havana, "2026-10-30", "2026-11-05T12:00:00Z").await;
}

async fn wild_week(zone: Tz, first_day: &str, now: &str) {
    let platform = Platform::new(zone, first_day, now).await;
    let mut random = Random::new(20_260_326);
    let begin = start_of_day(day(first_day), zone);
    let end = begin + TimeDelta::days(5);
    let (mut states, mut connection) = (Vec::new(), Vec::new());
    let mut moment = begin;
    while moment < end {
        // Mostly a heartbeat every few minutes; sometimes silence, long or just short enough.
        let silence = if random.below(60) == 0 { 6 + random.below(60) } else { 1 + random.below(5) };
        moment +=
            TimeDelta::minutes(i64::try_from(silence).unwrap()) + TimeDelta::seconds(random.below(60).cast_signed());
        connection.push(connected(moment));
        let is_list = random.below(40) == 0;
        if is_list {
            connection.push(DiscordConnection { at: moment, guild_id: GUILD, kind: "snapshot".to_owned() });
        }
        let events = if is_list { 8 } else { random.below(3) };
        let mut named = BTreeSet::new();
        for sequence in 0..events {
            let account = format!("p{}", random.below(25));
            if is_list && !named.insert(account.clone()) {
                continue;
            }
            let channel = random.below(5).cast_signed();
            states.push(DiscordVoiceStates {
                account_id: account,
                at: moment,
                guild_id: GUILD,
                sequence: sequence.cast_signed(),
                channel_id: (channel > 0 || is_list).then_some(channel.max(1)),
                afk: channel == 4,
                bot: false,
                snapshot: is_list,
                voice_session: None,
            });
        }
    }
    platform.append(&states).await;
    platform.append(&connection).await;
    platform.build_only::<FactVoiceSessions>().await;
    let rows: Vec<FactVoiceSessions> = platform.rows("day, session_id").await;
    let asset = platform.definitions.asset(&FactVoiceSessions::KEY).unwrap();
    let plan = [(FactVoiceSessions::KEY, asset.partitions.existing(at(now)))].into();
    platform.build_plan(plan, true).await;
    let one_by_one: Vec<FactVoiceSessions> = platform.rows("day, session_id").await;
    assert!(rows == one_by_one, "a range gives what its days give");
    let mut found: BTreeMap<NaiveDate, BTreeSet<Told>> = BTreeMap::new();
    for row in rows {
        let reasons = ["left", "switched", "restart", "last_evidence", "midnight"];
        let reason = reasons.into_iter().find(|reason| *reason == row.end_reason).unwrap();
        let told = (row.account_id, row.channel_id, row.afk, row.started_at, row.ended_at, reason);
        found.entry(row.day).or_default().insert(told);
    }
    let mut reasons = BTreeSet::new();
    for date in day(first_day).iter_days().take(7) {
        let (start, end) = (start_of_day(date, zone), start_of_day(date.succ_opt().unwrap(), zone));
        let expected = told(&states, &connection, start, end);
        reasons.extend(expected.iter().map(|row| row.5));
        assert_eq!(found.remove(&date).unwrap_or_default(), expected, "{date}");
    }
    assert!(found.is_empty());
    assert_eq!(reasons.len(), 5, "the week must have been wild enough for every rule");
}
