//! The verbs that every application has.

use std::pin::Pin;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::alert::AlertArguments;
use super::exit::{Exit, Failure};
use super::remote::Remote;
use super::schedule::ScheduleArguments;
use super::sensor::SensorArguments;
use super::session::Session;
use super::up::{UpArguments, WorkerArguments, WorkerVerb};
use super::user::{AuditArguments, UserArguments};
use super::{admin, alert, explain, inspect, late, launch, runs, schedule, sensor, up, user};
use crate::service::{Extent, PartitionState, Request, Retention};

/// What can be asked of every application.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run by itself until it is stopped: schedules and automation, a worker, and pages
    ///
    /// Any number of these may run on one database: one of them decides what is due, and another takes over when it
    /// dies. `worker` adds workers on other machines.
    Up(UpArguments),
    /// Carry out what anybody launches on this database, until it is stopped; list such processes
    #[command(args_conflicts_with_subcommands = true)]
    Worker(WorkerArguments),
    /// Verify the definitions against PostgreSQL itself; changes nothing
    Check,
    /// Bring the database up to date
    Migrate(MigrateArguments),
    /// List the assets
    Ls(SelectionArguments),
    /// Show who reads whom
    Graph(GraphArguments),
    /// Show how the assets stand: fresh, stale, missing, failed
    Status(StatusArguments),
    /// Explain a partition: what built it, what changed since, what keeps it from being built
    Why(WhyArguments),
    /// Show what a request would build, and build nothing
    Plan(PlanArguments),
    /// Build partitions, by default the newest that has ended
    Materialize(LaunchArguments),
    /// Build sets of partitions; list, show, pause, resume, cancel and retry such sets
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Backfill(BackfillArguments),
    /// List, show, cancel and retry runs, and read what was said in them
    Run(RunArguments),
    /// List schedules, show when they fire, pause, resume and trigger them
    Schedule(ScheduleArguments),
    /// List and show sensors, switch them on and off, and trigger them
    Sensor(SensorArguments),
    /// List and show alerts, and test whether they arrive
    Alert(AlertArguments),
    /// Make, list and change users and their tokens: who may do what
    User(UserArguments),
    /// Show who did what
    Audit(AuditArguments),
    /// Show an asset in detail
    Asset(AssetArguments),
    /// Say that an external asset changed where nobody saw it: what reads it becomes stale
    Mark(MarkArguments),
    /// List, show, let in and refuse rows that came later than their asset allows
    #[command(subcommand)]
    Quarantine(QuarantineVerb),
    /// Remove logs and history that have been kept long enough; never data
    Gc(GcArguments),
}

impl Verb {
    /// Why no server does it; `None` when one does.
    fn refused_by_servers(&self, session: &Session) -> Option<Failure> {
        let words = match self {
            Self::Up(_) => "up",
            Self::Worker(arguments) if arguments.verb.is_none() => "worker",
            Self::Check => "check",
            Self::Migrate(_) => "migrate",
            Self::Gc(_) => "gc",
            Self::User(arguments) => return arguments.verb.secret_words().map(|words| session.makes_secrets(&words)),
            _ => return None,
        };
        Some(session.needs_database(Some(words)))
    }
}

/// How selections are written.
const SELECTION_HELP: &str = "\
Selections:
  gold.daily_users        that asset; the table's name alone will do where it is unambiguous
  gold.* *_users          assets of that shape
  layer:gold tag:nightly kind:sql owner:ada state:stale
  +a  a+  2+a+1           with all that a is made from; with all that is made from a; so many steps
  'a b'  a,b  !a          both; what is in both; taken away";

/// How partitions are written.
const PARTITIONS_HELP: &str = "\
Partitions:
  2026-11-21  2026-11  2026-W47  2026-10-25T02:00+01:00  eu  all  latest
  2026-01-01..2026-03-31  2026-01..  ..2026-03  2026-01-05,2026-02
  A range is a stretch of time, both ends included: each asset takes its ended partitions in it.
  A partition that is still open is built only when it is named by its own key.";

/// Arguments of a verb that reads some assets.
#[derive(Args, Clone, Debug)]
#[command(after_help = SELECTION_HELP)]
pub struct SelectionArguments {
    /// Which assets; all without any
    #[arg(value_name = "SELECTION")]
    pub selection: Vec<String>,
    /// Which assets to leave out
    #[arg(long, value_name = "SELECTION")]
    pub exclude: Vec<String>,
}

/// Arguments of `status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArguments {
    /// Which assets.
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// End with code 4 when an asset is failed, missing or stale, or breaks its freshness policy
    #[arg(long)]
    pub exit_code: bool,
}

/// Which partitions of which assets, and how to build them.
#[derive(Args, Clone, Debug)]
pub struct RequestArguments {
    /// Only partitions that have ended and were never built
    #[arg(long)]
    pub missing: bool,
    /// Only partitions whose newest attempt failed or was blocked
    #[arg(long)]
    pub failed: bool,
    /// Only partitions built from other code or data than there is now
    #[arg(long)]
    pub stale: bool,
    /// All partitions that have ended
    #[arg(long, conflicts_with = "partitions")]
    pub all: bool,
    /// Which assets to leave out
    #[arg(long, value_name = "SELECTION")]
    pub exclude: Vec<String>,
    /// Build what is missing upstream first
    #[arg(long)]
    pub upstream: bool,
    /// Build in spite of missing upstream partitions; what is missing is recorded
    #[arg(long)]
    pub force: bool,
    /// One statement per partition, even where an asset could build a range at once
    #[arg(long)]
    pub per_partition: bool,
    /// Most partitions at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub concurrency: Option<u32>,
    /// Before other work (positive) or after it (negative)
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
}

/// Arguments of `plan`.
#[derive(Args, Clone, Debug)]
#[command(after_help = [SELECTION_HELP, "\n\n", PARTITIONS_HELP].concat())]
pub struct PlanArguments {
    /// Which assets
    pub selection: String,
    /// Which partitions; the newest that has ended without any
    pub partitions: Option<String>,
    /// The rest of the request.
    #[command(flatten)]
    pub request: RequestArguments,
}

/// Arguments of `materialize`.
#[derive(Args, Clone, Debug)]
#[command(after_help = [SELECTION_HELP, "\n\n", PARTITIONS_HELP].concat())]
pub struct LaunchArguments {
    /// Which assets
    pub selection: String,
    /// Which partitions; the newest that has ended without any
    pub partitions: Option<String>,
    /// The rest of the request.
    #[command(flatten)]
    pub request: RequestArguments,
    /// Where and whether it is carried out.
    #[command(flatten)]
    pub mode: ModeArguments,
}

/// Whether a request is carried out, and where.
#[derive(Args, Clone, Copy, Debug)]
pub struct ModeArguments {
    /// Show what would be built, and build nothing
    #[arg(long, conflicts_with = "detach")]
    pub dry_run: bool,
    /// Only launch, and leave the work to others
    #[arg(long)]
    pub detach: bool,
}

/// Arguments of `backfill`.
#[derive(Args, Clone, Debug)]
#[command(after_help = [SELECTION_HELP, "\n\n", PARTITIONS_HELP].concat())]
pub struct BackfillArguments {
    /// Which assets
    #[arg(required = true)]
    pub selection: Option<String>,
    /// Which partitions
    pub partitions: Option<String>,
    /// The rest of the request.
    #[command(flatten)]
    pub request: RequestArguments,
    /// Where and whether it is carried out.
    #[command(flatten)]
    pub mode: ModeArguments,
    /// What to do with backfills that there are.
    #[command(subcommand)]
    pub verb: Option<BackfillVerb>,
}

/// What can be done with backfills that there are.
#[derive(Clone, Debug, Subcommand)]
pub enum BackfillVerb {
    /// List the backfills, newest first
    Ls(ListArguments),
    /// Show a backfill
    Show(IdArguments),
    /// Start nothing new of a backfill until it is resumed; what runs goes on
    Pause(IdArguments),
    /// Go on with a backfill: end its pause, and carry it out here
    Resume(ResumeArguments),
    /// Say how many partitions of a backfill may run at once from now on
    Limit(LimitArguments),
    /// Start nothing new of a backfill ever, and stop what runs; what was built stays
    Cancel(IdArguments),
    /// Build again what failed or was blocked
    Retry(RetryArguments),
}

/// Arguments of `backfill limit`.
#[derive(Args, Clone, Debug)]
pub struct LimitArguments {
    /// The id, or at least four characters of its beginning or end
    pub id: String,
    /// At most so many at once; as many as there are slots without it
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: Option<u32>,
}

/// What can be done with runs.
#[derive(Clone, Debug, Subcommand)]
pub enum RunVerb {
    /// List the runs, newest first
    Ls(RunListArguments),
    /// Show a run
    Show(IdArguments),
    /// Show what assets said while they were computed
    Logs(LogsArguments),
    /// Go on with a run: end its pause, and carry it out here
    Resume(ResumeArguments),
    /// Start nothing new of a run ever, and stop what runs; what was built stays
    Cancel(IdArguments),
    /// Build again what failed or was blocked
    Retry(RetryArguments),
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: RunVerb,
}

/// Arguments of `asset`.
#[derive(Args, Clone, Debug)]
pub struct AssetArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: AssetVerb,
}

/// What can be done with an asset.
#[derive(Clone, Debug, Subcommand)]
pub enum AssetVerb {
    /// Show columns, lineage, checks, versions and state
    Show(AssetShowArguments),
}

/// Arguments of `asset show`.
#[derive(Args, Clone, Debug)]
pub struct AssetShowArguments {
    /// The asset: its key, or its table where that is unambiguous
    pub asset: String,
}

/// A run or backfill.
#[derive(Args, Clone, Debug)]
pub struct IdArguments {
    /// The id, or at least four characters of its beginning or end
    pub id: String,
}

/// How much of a list.
#[derive(Args, Clone, Debug)]
pub struct ListArguments {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Only those older than this one
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,
}

/// Arguments of `run ls`.
#[derive(Args, Clone, Debug)]
pub struct RunListArguments {
    /// How much of the list.
    #[command(flatten)]
    pub list: ListArguments,
    /// Only runs that have not ended
    #[arg(long, conflicts_with = "state")]
    pub live: bool,
    /// Only runs that ended so
    #[arg(long, value_name = "STATE", value_parser = ["succeeded", "failed", "canceled"])]
    pub state: Option<String>,
    /// Only runs that exist for this reason: manual, backfill, retry, schedule, automation or sensor
    #[arg(long, value_name = "CAUSE", hide_possible_values = true, value_parser = ["manual", "backfill", "retry", "schedule", "automation", "sensor"])]
    pub cause: Option<String>,
    /// Only runs that this user asked for
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only runs of this backfill
    #[arg(long, value_name = "ID")]
    pub backfill: Option<String>,
    /// Only runs that build this asset
    #[arg(long, value_name = "ASSET")]
    pub asset: Option<String>,
}

/// Arguments of `run logs`.
#[derive(Args, Clone, Debug)]
pub struct LogsArguments {
    /// The run's id, or at least four characters of its beginning or end
    pub id: String,
    /// Only of this asset
    #[arg(long, value_name = "ASSET")]
    pub asset: Option<String>,
    /// Only of this partition
    #[arg(long, value_name = "PARTITION", requires = "asset")]
    pub partition: Option<String>,
    /// The last so many lines
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
}

/// Arguments of `retry`.
#[derive(Args, Clone, Debug)]
pub struct RetryArguments {
    /// The id, or at least four characters of its beginning or end
    pub id: String,
    /// Also what was canceled
    #[arg(long)]
    pub canceled: bool,
    /// Only launch, and leave the work to others
    #[arg(long)]
    pub detach: bool,
}

/// Arguments of `migrate`.
#[derive(Args, Clone, Debug)]
pub struct MigrateArguments {
    /// Show what would be applied, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `graph`.
#[derive(Args, Clone, Debug)]
pub struct GraphArguments {
    /// Which assets.
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// text, dot or json
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = GraphFormat::Text, hide_possible_values = true)]
    pub format: GraphFormat,
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// An indented tree, for people.
    Text,
    /// For Graphviz.
    Dot,
    /// Assets and edges.
    Json,
}

/// Arguments of `why`.
#[derive(Args, Clone, Debug)]
pub struct WhyArguments {
    /// The asset: its key, or its table where that is unambiguous
    pub asset: String,
    /// The partition; the newest that has ended without any
    pub partition: Option<String>,
}

/// Arguments of `mark`.
#[derive(Args, Clone, Debug)]
pub struct MarkArguments {
    /// The external asset: its key, or its table where that is unambiguous
    pub asset: String,
    /// The first partition, or the only one; a month or year stands for all it covers, `all` for the one partition
    #[arg(long, value_name = "PARTITION")]
    pub from: String,
    /// The last partition, inclusive
    #[arg(long, value_name = "PARTITION")]
    pub to: Option<String>,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Show what would become stale, and mark nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What can be done with rows that came too late.
#[derive(Clone, Debug, Subcommand)]
pub enum QuarantineVerb {
    /// List the rows that wait, newest first
    Ls(QuarantineListArguments),
    /// Show a row
    Show(QuarantineShowArguments),
    /// Put rows into their table after all: what reads their partitions becomes stale
    Release(QuarantineDecisionArguments),
    /// Refuse rows for good: they stay recorded, and do not come back when their file is read again
    Discard(QuarantineDecisionArguments),
}

/// Arguments of `quarantine ls`.
#[derive(Args, Clone, Debug)]
pub struct QuarantineListArguments {
    /// Only rows of this asset
    pub asset: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Only those with numbers below
    #[arg(long, value_name = "ID")]
    pub before: Option<i64>,
}

/// Arguments of `quarantine show`.
#[derive(Args, Clone, Debug)]
pub struct QuarantineShowArguments {
    /// The row's number
    pub id: i64,
}

/// Arguments of `quarantine release` and `quarantine discard`.
#[derive(Args, Clone, Debug)]
pub struct QuarantineDecisionArguments {
    /// The rows' numbers
    #[arg(value_name = "ID", required_unless_present = "asset", conflicts_with = "asset")]
    pub ids: Vec<i64>,
    /// All rows that wait for this asset
    #[arg(long, value_name = "ASSET")]
    pub asset: Option<String>,
}

/// Arguments of `gc`.
#[derive(Args, Clone, Debug)]
pub struct GcArguments {
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long what is for people is kept.
    #[command(flatten)]
    pub keep: KeepArguments,
}

/// How long what is for people is kept.
#[derive(Args, Clone, Copy, Debug)]
pub struct KeepArguments {
    /// How long log lines, events, attempts and ticks are kept, such as 30d or 12h
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = kept)]
    pub keep_logs: Duration,
    /// How long replaced versions are kept, runs that have ended with their steps, check results, and who did what
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = kept)]
    pub keep_history: Duration,
}

impl KeepArguments {
    pub(super) const fn retention(self) -> Retention {
        Retention { logs: self.keep_logs, history: self.keep_history }
    }
}

fn kept(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 30d, 12h or 1h 30m"))
}

/// Arguments of `resume`.
#[derive(Args, Clone, Debug)]
pub struct ResumeArguments {
    /// The id, or a beginning or end of it
    pub id: String,
    /// Only end the pause, and leave the work to others
    #[arg(long)]
    pub detach: bool,
    /// Most partitions at once in this process
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub concurrency: Option<u32>,
}

/// The words of a selection and of what it leaves out, as one selection; `None` without any.
pub(super) fn selection_text(selection: &[String], exclude: &[String]) -> Option<String> {
    let mut words: Vec<&str> = selection.iter().map(String::as_str).collect();
    if words.is_empty() && !exclude.is_empty() {
        words.push("*");
    }
    if !exclude.is_empty() {
        words.push("--exclude");
        words.extend(exclude.iter().map(String::as_str));
    }
    (!words.is_empty()).then(|| words.join(" "))
}

impl RequestArguments {
    /// The request these arguments make; `None` for the partitions when none are said.
    pub(super) fn request(&self, selection: &str, partitions: Option<&str>) -> Request {
        let extent = match partitions {
            Some(text) => Extent::Text(text.to_owned()),
            None if self.all => Extent::All,
            None => Extent::Newest,
        };
        let states = [
            (self.missing, PartitionState::Missing),
            (self.failed, PartitionState::Failed),
            (self.stale, PartitionState::Stale),
        ];
        Request {
            selection: selection_text(&[selection.to_owned()], &self.exclude).unwrap_or_default(),
            extent,
            states: states.into_iter().filter_map(|(set, state)| set.then_some(state)).collect(),
            upstream: self.upstream,
            force: self.force,
            per_partition: self.per_partition,
            concurrency_limit: self.concurrency,
            priority: self.priority,
        }
    }

    pub(super) const fn says_partitions(&self, partitions: Option<&str>) -> bool {
        partitions.is_some() || self.all || self.missing || self.failed || self.stale
    }
}

/// Does what `verb` says.
///
/// # Errors
/// The sentence and exit code of what went wrong.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    let here;
    let session = match Remote::of(&session.options)? {
        None => session,
        Some(remote) => {
            if let Some(refused) = verb.refused_by_servers(session) {
                return Err(refused);
            }
            here = session.of_server(&remote.instance().await?);
            &here
        }
    };
    match verb {
        Verb::Up(arguments) => boxed(|| up::up(session, &arguments)).await,
        Verb::Worker(arguments) => match &arguments.verb {
            None => boxed(|| up::worker(session, &arguments.serve)).await,
            Some(WorkerVerb::Ls) => boxed(|| up::list_workers(session)).await,
        },
        Verb::Check => boxed(|| admin::check(session)).await,
        Verb::Migrate(arguments) => boxed(|| admin::migrate(session, &arguments)).await,
        Verb::Ls(arguments) => boxed(|| inspect::ls(session, &arguments)).await,
        Verb::Graph(arguments) => boxed(|| inspect::graph(session, &arguments)).await,
        Verb::Status(arguments) => boxed(|| inspect::status(session, &arguments)).await,
        Verb::Why(arguments) => boxed(|| explain::why(session, &arguments)).await,
        Verb::Plan(arguments) => boxed(|| launch::plan(session, &arguments)).await,
        Verb::Materialize(arguments) => boxed(|| launch::materialize(session, &arguments)).await,
        Verb::Backfill(arguments) => match &arguments.verb {
            None => boxed(|| launch::backfill(session, &arguments)).await,
            Some(verb) => boxed(|| runs::backfill(session, verb)).await,
        },
        Verb::Run(arguments) => boxed(|| runs::run(session, &arguments.verb)).await,
        Verb::Sensor(arguments) => boxed(|| sensor::sensor(session, &arguments.verb)).await,
        Verb::User(arguments) => boxed(|| user::user(session, &arguments.verb)).await,
        Verb::Audit(arguments) => boxed(|| user::audit(session, &arguments.verb)).await,
        Verb::Alert(arguments) => boxed(|| alert::alert(session, &arguments.verb)).await,
        Verb::Schedule(arguments) => boxed(|| schedule::schedule(session, &arguments.verb)).await,
        Verb::Asset(AssetArguments { verb: AssetVerb::Show(arguments) }) => {
            boxed(|| explain::asset(session, &arguments)).await
        }
        Verb::Mark(arguments) => boxed(|| late::mark(session, &arguments)).await,
        Verb::Quarantine(verb) => boxed(|| late::quarantine(session, &verb)).await,
        Verb::Gc(arguments) => boxed(|| admin::gc(session, &arguments)).await,
    }
}

/// The future, made and kept on the heap. Unoptimized, whoever awaits one of many futures has room on the stack for each of
/// them, which is more than a thread has.
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(make())
}
