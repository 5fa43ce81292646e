//! The command line itself: what it takes, what it refuses, and what it keeps to itself.

use std::time::Duration;

use clap::Subcommand;
use karat::cli::{self, Application, Options, Verb, counted, duration_text, grouped, short_id, time_text};

use super::service_lake::{APPLICATION, instant, words};

/// An application with a verb of its own.
#[derive(Debug, Subcommand)]
enum Extended {
    /// Write something down
    Record {
        /// How much
        #[arg(long, default_value_t = 3)]
        days: u32,
    },
    #[command(flatten)]
    Karat(Verb),
}

fn parse(line: &str) -> Result<(Options, Extended), clap::Error> {
    let application: Application = APPLICATION;
    cli::parse(&application, std::iter::once("lake".to_owned()).chain(words(line)))
}

#[test]
fn every_verb_of_the_manual_is_understood() {
    for line in [
        "up",
        "up --slots 2 --shutdown-limit 5m --address 127.0.0.1:0",
        "up --no-worker --address 0.0.0.0:4747 --insecure-no-login",
        "worker",
        "worker --slots 8 --shutdown-limit 0s",
        "worker ls --json",
        "check",
        "migrate",
        "migrate --dry-run",
        "ls",
        "ls lake.* tag:nightly --exclude lake.daily",
        "graph",
        "graph +lake.daily --format dot",
        "status",
        "status lake.* --exit-code",
        "why lake.daily",
        "why lake.daily 2026-03-01",
        "plan lake.daily",
        "plan lake.* 2026-03 --missing --upstream",
        "materialize lake.daily",
        "materialize +lake.daily 2026-03-01 --force --upstream --detach",
        "materialize lake.daily --dry-run --priority -3",
        "backfill lake.daily 2026-01..2026-03 --per-partition --concurrency 4",
        "backfill '2+lake.daily+1 !lake.events' --all",
        "backfill lake.daily --missing --stale --failed",
        "backfill ls --limit 5",
        "backfill show 1234abcd",
        "backfill pause 1234abcd",
        "backfill resume 1234abcd --detach",
        "backfill cancel 1234abcd",
        "backfill retry 1234abcd --canceled --detach",
        "run ls --live --asset lake.daily --backfill 1234abcd --before 1234abcd",
        "run ls --state failed",
        "run show 1234abcd",
        "run logs 1234abcd --asset lake.daily --partition 2026-03-01 --limit 10",
        "run resume 1234abcd --concurrency 2",
        "run cancel 1234abcd",
        "run retry 1234abcd",
        "schedule ls",
        "schedule next",
        "schedule next nightly --around 2026-10-25 --count 12",
        "schedule pause nightly",
        "schedule resume nightly",
        "schedule trigger nightly --at 2026-03-01T03:15 --detach",
        "schedule trigger nightly --at 2026-03-01T02:15Z --dry-run",
        "asset show lake.daily",
        "run ls --user ada",
        "user add ada --role admin",
        "user add ada --role admin --password-stdin",
        "user add robot --no-password",
        "user passwd ada --generate",
        "user role ada operator",
        "user disable ada",
        "user enable ada",
        "user logout ada",
        "user ls --json",
        "user token add ada --name loader --role viewer --expires 30d",
        "user token add ada --name loader --no-expiry",
        "user token ls ada",
        "user token revoke 7",
        "audit ls --user ada --action 'run cancel' --run 1234abcd --limit 5 --before 7",
        "up --no-login-on-loopback",
        "gc --dry-run --keep-logs 12h --keep-history 1w",
        "mark lake.events --from 2026-03-01 --to 2026-03-05 --reason 'a disk was restored' --dry-run",
        "quarantine ls lake.events --limit 5 --before 7",
        "quarantine show 1",
        "quarantine release 1 2 3",
        "quarantine discard --asset lake.events",
        "record --days 4 --json",
        "status --json --zone America/Sao_Paulo --first-day 2026-01-01 -vv --log-format json --color never",
    ] {
        let parsed = parse(line);
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_code_for_usage() {
    for (line, said) in [
        ("statsu", "unrecognized subcommand 'statsu'"),
        ("up --slots 2 --no-worker", "cannot be used with"),
        ("up --address 4747", "invalid socket address"),
        ("worker --slots 0", "0 is not in 1..=256"),
        ("worker --shutdown-limit soon", "write for example 30s or 5m"),
        ("worker ls --slots 2", "unexpected argument '--slots'"),
        ("why", "required arguments were not provided"),
        ("materialize lake.daily 2026-03-01 2026-03-02", "unexpected argument '2026-03-02'"),
        ("materialize lake.daily --detach --dry-run", "cannot be used with"),
        ("backfill lake.daily 2026-03 --all", "cannot be used with"),
        ("backfill lake.daily --concurrency 0", "0 is not in 1..=1000"),
        ("backfill lake.daily --priority x", "invalid digit"),
        ("run ls --state fresh", "[possible values: succeeded, failed, canceled]"),
        ("run logs 1234abcd --partition 2026-03-01", "required arguments were not provided"),
        ("graph --format svg", "invalid value 'svg'"),
        ("status --zone Europe/Berln", "did you mean `Europe/Berlin`?"),
        ("status --zone Middle-Earth", "write an IANA name such as Europe/Berlin or UTC"),
        ("status --first-day 2026-02-30", "no date of the calendar"),
        ("status --quiet --verbose", "cannot be used with"),
        ("mark lake.events --from 2026-03-01", "required arguments were not provided"),
        ("quarantine release", "required arguments were not provided"),
        ("quarantine release 1 --asset lake.events", "cannot be used with"),
        ("gc --keep-logs soon", "write for example 30d"),
        ("schedule next --around 2026-02-30", "write YYYY-MM-DD, such as 2026-10-25"),
        ("schedule next --count 0", "0 is not in 1..=1000"),
        ("schedule trigger nightly --at tomorrow", "write 2026-03-01T03:15"),
        ("schedule trigger", "required arguments were not provided"),
        ("user add ada --role chief", "the roles are viewer, operator and admin"),
        ("user add ada --password hunter2", "unexpected argument '--password'"),
        ("user add ada --generate --password-stdin", "cannot be used with"),
        ("user add ada --no-password --generate", "cannot be used with"),
        ("user token add ada --name x --expires 30d --no-expiry", "cannot be used with"),
        ("up --no-login-on-loopback --insecure-no-login", "cannot be used with"),
    ] {
        let error = parse(line).map(|parsed| parsed.1).unwrap_err();
        assert!(error.to_string().contains(said), "{line}: {error}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn an_application_adds_its_verbs_and_keeps_its_name() {
    let (_, verb) = parse("record --days 4").unwrap();
    assert!(matches!(verb, Extended::Record { days: 4 }), "{verb:?}");
    let help = parse("--help").map(|parsed| parsed.1).unwrap_err();
    assert_eq!(help.exit_code(), 0);
    let help = help.to_string();
    assert!(help.contains("Usage: lake [OPTIONS] <COMMAND>"), "{help}");
    assert!(help.contains("Write something down") && help.contains("Explain a partition"), "{help}");
    for code in [
        "0  done",
        "1  failed",
        "2  the command line",
        "3  the definitions",
        "4  `status --exit-code`",
        "5  the database",
    ] {
        assert!(help.contains(code), "{code}: {help}");
    }
}

#[test]
fn a_password_shows_in_nothing_that_is_printed() {
    let (options, verb) = parse("--database-url postgres://ada:opensesame@db/lake status").unwrap();
    assert_eq!(options.database_url.as_ref().unwrap().secret(), "postgres://ada:opensesame@db/lake");
    assert!(!format!("{options:?} {verb:?}").contains("opensesame"));
    for line in [
        "--database-url postgres://ada:opensesame@db/lake --help",
        "--database-url postgres://ada:opensesame@db/lake nonsense",
    ] {
        assert!(!parse(line).map(|parsed| parsed.1).unwrap_err().to_string().contains("opensesame"), "{line}");
    }
}

#[test]
fn a_blank_setting_is_as_good_as_none() {
    let (options, _) = parse("status --zone '' --first-day ''").unwrap();
    assert_eq!(options.zone, chrono_tz::Europe::Berlin);
    assert_eq!(options.first_day.unwrap().0, None);
}

#[test]
fn numbers_times_and_durations_are_written_for_people() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([0, 1, 2_048].map(|count| counted(count, "row")), ["0 rows", "1 row", "2,048 rows"]);
    let durations =
        [0, 400, 9_999, 75_000, 750_000, 11_520_000, 187_200_000].map(Duration::from_millis).map(duration_text);
    assert_eq!(durations, ["0.0 s", "0.4 s", "10.0 s", "75 s", "12 min 30 s", "3 h 12 min", "2 d 4 h"]);
    let berlin = chrono_tz::Europe::Berlin;
    assert_eq!(time_text(instant("2026-10-25T00:30:00Z"), berlin), "2026-10-25 02:30:00+02:00");
    assert_eq!(time_text(instant("2026-10-25T01:30:00Z"), berlin), "2026-10-25 02:30:00+01:00");
    assert_eq!(short_id("01a206b1-e06d-70e7-acf7-eaba611f7d7d".parse().unwrap()), "611f7d7d");
}
