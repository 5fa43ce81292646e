//! The verbs that every application has.

use clap::{Args, Subcommand};

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{inspect, launch};
use crate::service::{Extent, PartitionState, Request};

/// What can be asked of every application.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// List the assets
    Ls(SelectionArguments),
    /// Show how the assets stand: fresh, stale, missing, failed
    Status(StatusArguments),
    /// Show what a request would build, and build nothing
    Plan(PlanArguments),
    /// Build partitions, by default the newest that has ended
    Materialize(LaunchArguments),
    /// Build sets of partitions; list, show, pause, resume, cancel and retry such sets
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Backfill(BackfillArguments),
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
    /// End with code 4 unless everything is fresh
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
    /// Go on with a backfill: end its pause, and carry it out here
    Resume(ResumeArguments),
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
    match verb {
        Verb::Ls(arguments) => inspect::ls(session, &arguments).await,
        Verb::Status(arguments) => inspect::status(session, &arguments).await,
        Verb::Plan(arguments) => launch::plan(session, &arguments).await,
        Verb::Materialize(arguments) => launch::materialize(session, &arguments).await,
        Verb::Backfill(arguments) => match &arguments.verb {
            None => launch::backfill(session, &arguments).await,
            Some(BackfillVerb::Resume(resume)) => launch::resume_backfill(session, resume).await,
        },
    }
}
