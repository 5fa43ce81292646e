//! Lists of runs: any choice of filters, newest first, page by page, at a cost that does not grow with the history.
//!
//! The statement begins with the filter that is expected to leave the fewest runs and goes back from there by an index;
//! what else is asked for is compared on the way, for at most [`SEARCHED`] runs. Who finds nothing among those gets an
//! empty page that says where to go on. The planner is not asked to choose: between a filter that matches nothing and one
//! that matches everything it would guess.

use chrono::{DateTime, TimeZone, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::error::Context;
use super::run::RunRecord;
use super::{Store, StoreError};

/// How many runs are compared with the filters for one page.
pub const SEARCHED: i64 = 2_000;

/// How many steps of a live run are counted in a list.
pub const COUNTED: i64 = 5_000;

const COLUMNS: &str = "select r.run_id, r.backfill_id, r.retry_of, r.cause, r.cause_detail, r.request, r.force, \
     r.requested_by, r.requested_at, r.paused_at, r.cancel_requested_at, r.finished_at, r.outcome, c.*";
const COUNTS: &str = include_str!("sql/run_counts.sql");
const FILTER: &str = include_str!("sql/run_filter.sql");

/// The condition on a row `n` that has `requested_at` and `run_id`, and the order of the list.
const STRETCH: &str = "n.requested_at >= $7 and n.requested_at < $8 and (n.requested_at, n.run_id) < ($9, $10)";
const NEWEST_FIRST: &str = "order by requested_at desc, run_id desc";

/// Which runs to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only live ones.
    pub live: bool,
    /// Only live ones in this state.
    pub live_state: Option<LiveState>,
    /// Only those that ended so.
    pub outcome: Option<String>,
    /// Only those with this cause.
    pub cause: Option<String>,
    /// Only those of this backfill.
    pub backfill_id: Option<Uuid>,
    /// Only those with a step of this asset.
    pub asset_key: Option<String>,
    /// Only those with a step of this partition of the asset.
    pub partition_key: Option<String>,
    /// Only those that this account or user asked for.
    pub requested_by: Option<String>,
    /// Only those asked for at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those asked for before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those older than this run (keyset pagination).
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// How a live run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// No step has begun.
    Queued,
    /// Some have.
    Running,
    /// Nothing is begun until it is resumed.
    Paused,
    /// It is being stopped.
    Canceling,
}

impl LiveState {
    /// The word used in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Canceling => "canceling",
        }
    }
}

/// Some runs of a list.
#[derive(Clone, Debug, Default)]
pub struct RunPage {
    /// The runs, newest first.
    pub runs: Vec<RunRecord>,
    /// The run before which the list goes on; `None` at its end.
    pub next: Option<Uuid>,
}

/// What the search begins with.
#[derive(Clone, Copy)]
enum Driver {
    Partition,
    Backfill,
    Asset,
    RequestedBy,
    Kind,
    Everything,
}

impl RunFilter {
    const fn driver(&self) -> Driver {
        if self.asset_key.is_some() && self.partition_key.is_some() {
            Driver::Partition
        } else if self.backfill_id.is_some() {
            Driver::Backfill
        } else if self.asset_key.is_some() {
            Driver::Asset
        } else if self.requested_by.is_some() {
            Driver::RequestedBy
        } else if self.cause.is_some() || self.outcome_or_live().is_some() {
            Driver::Kind
        } else {
            Driver::Everything
        }
    }

    /// The outcome, or `live`.
    const fn outcome_or_live(&self) -> Option<&str> {
        match &self.outcome {
            Some(outcome) => Some(outcome.as_str()),
            None if self.live || self.live_state.is_some() => Some("live"),
            None => None,
        }
    }

    /// Whether what the search begins with is all that is asked for.
    const fn is_exact(&self) -> bool {
        match self.driver() {
            Driver::Kind => self.live_state.is_none(),
            Driver::Everything => true,
            _ => false,
        }
    }
}

impl Driver {
    /// The runs to compare: `run_id` and `requested_at`, newest first. `$12` partition, `$13` how many.
    fn candidates(self) -> String {
        let from = |source: &str| {
            format!("select n.run_id, n.requested_at from {source} and {STRETCH} {NEWEST_FIRST} limit $13")
        };
        match self {
            // Newest steps first: a partition has as many as it was tried to be built.
            Self::Partition => format!(
                "select distinct n.run_id, n.requested_at
                 from (select run_id from karat.step
                       where asset_key = $5 and partition_key = $12 order by step_id desc limit $13) s
                 join karat.run n using (run_id)
                 where {STRETCH} {NEWEST_FIRST}"
            ),
            Self::Backfill => from("karat.run n where n.backfill_id = $4"),
            Self::Asset => from("karat.run_asset n where n.asset_key = $5"),
            Self::RequestedBy => from("karat.run n where n.requested_by = $6"),
            Self::Kind => format!(
                "select n.run_id, n.requested_at
                 from unnest(case when $2::text is null
                                  then array['manual', 'backfill', 'retry', 'schedule', 'automation', 'sensor']
                                  else array[$2] end) as causes (cause)
                 cross join unnest(case when $3::text is null
                                        then array['succeeded', 'failed', 'canceled', 'live']
                                        else array[$3] end) as outcomes (outcome)
                 cross join lateral (
                     select n.run_id, n.requested_at from karat.run n
                     where n.cause = causes.cause and coalesce(n.outcome, 'live') = outcomes.outcome and {STRETCH}
                     {NEWEST_FIRST} limit $13
                 ) n
                 {NEWEST_FIRST} limit $13"
            ),
            Self::Everything => from("karat.run n where true"),
        }
    }
}

/// Before and after all instants that a run can have.
fn ends_of_time() -> (DateTime<Utc>, DateTime<Utc>) {
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single().unwrap_or_default();
    (year(1), year(9999))
}

impl Store {
    /// One run, all its steps counted.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run(&self, run_id: Uuid) -> Result<Option<RunRecord>, StoreError> {
        self.run_counting(run_id, i64::MAX).await
    }

    /// One run, of a live one at most `counted` steps counted. For who reads its steps anyway: the total is known without.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_counting(&self, run_id: Uuid, counted: i64) -> Result<Option<RunRecord>, StoreError> {
        sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} from karat.run r {COUNTS} where r.run_id = $2")))
            .bind(counted)
            .bind(run_id)
            .fetch_optional(&self.pool)
            .await
            .context("reading the run")
    }

    /// Whether a run is live, without counting its steps; `None` when there is no such run.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn is_live(&self, run_id: Uuid) -> Result<Option<bool>, StoreError> {
        sqlx::query_scalar("select finished_at is null from karat.run where run_id = $1")
            .bind(run_id)
            .fetch_optional(&self.pool)
            .await
            .context("reading the run")
    }

    /// Runs, newest first: one page, whatever that takes of the history.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, StoreError> {
        let mut runs = Vec::new();
        let mut filter = filter.clone();
        loop {
            let page = self.run_page(&filter).await?;
            filter.limit -= i64::try_from(page.runs.len()).unwrap_or(i64::MAX);
            runs.extend(page.runs);
            if filter.limit <= 0 || page.next.is_none() {
                return Ok(runs);
            }
            filter.before = page.next;
        }
    }

    /// A page of runs, newest first. It may have fewer than the limit, or none, although the list goes on: no more than
    /// [`SEARCHED`] runs are compared with the filter. Of live runs at most [`COUNTED`] steps are counted.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn run_page(&self, filter: &RunFilter) -> Result<RunPage, StoreError> {
        let limit = filter.limit.clamp(1, SEARCHED);
        let candidates = filter.driver().candidates();
        let searched = if filter.is_exact() { limit + 1 } else { SEARCHED };
        let statement = format!(
            "{COLUMNS} from ({candidates}) k join karat.run r on r.run_id = k.run_id {COUNTS} {FILTER}
             order by k.requested_at desc, k.run_id desc limit $14"
        );
        let position = self.position(filter.before).await?;
        let query = bound(sqlx::query_as::<_, RunRecord>(AssertSqlSafe(statement)), filter, position, searched);
        let mut runs: Vec<RunRecord> = query.bind(limit + 1).fetch_all(&self.pool).await.context("listing runs")?;
        if runs.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            runs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            let next = runs.last().map(|run| run.run_id);
            return Ok(RunPage { runs, next });
        }
        let mut next = None;
        if !filter.is_exact() {
            let statement = format!("select run_id from ({candidates}) k offset $13 - 1 limit 1");
            let query = bound(sqlx::query_as::<_, (Uuid,)>(AssertSqlSafe(statement)), filter, position, searched);
            let last = query.fetch_optional(&self.pool).await.context("listing runs")?;
            next = last.map(|(run_id,)| run_id);
        }
        Ok(RunPage { runs, next })
    }

    /// Where the list goes on; after a run that does not exist any more where its id says it was.
    async fn position(&self, before: Option<Uuid>) -> Result<(DateTime<Utc>, Uuid), StoreError> {
        let Some(run_id) = before else { return Ok((ends_of_time().1, Uuid::max())) };
        let requested_at = sqlx::query_scalar("select requested_at from karat.run where run_id = $1")
            .bind(run_id)
            .fetch_optional(&self.pool)
            .await
            .context("looking for the run")?;
        let of_id = || {
            let (seconds, nanoseconds) = run_id.get_timestamp()?.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
        };
        Ok((requested_at.or_else(of_id).unwrap_or_else(|| ends_of_time().0), run_id))
    }

    /// The runs whose id begins or ends with `text` (hexadecimal, hyphens as in the full form); at most ten.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn runs_named(&self, text: &str) -> Result<Vec<Uuid>, StoreError> {
        // A whole id is found by its key; for a part of one all ids are looked through.
        let statement = if Uuid::parse_str(text).is_ok() {
            "select run_id from karat.run where run_id = $1::uuid"
        } else {
            "select run_id from karat.run
             where starts_with(run_id::text, $1) or right(run_id::text, length($1)) = $1
             order by run_id desc limit 10"
        };
        sqlx::query_scalar(statement)
            .bind(text.to_ascii_lowercase())
            .fetch_all(&self.pool)
            .await
            .context("looking for the run")
    }
}

type Query<'q, T> = sqlx::query::QueryAs<'q, sqlx::Postgres, T, sqlx::postgres::PgArguments>;

fn bound<'q, T>(
    query: Query<'q, T>,
    filter: &'q RunFilter,
    (requested_at, run_id): (DateTime<Utc>, Uuid),
    searched: i64,
) -> Query<'q, T> {
    let (beginning, end) = ends_of_time();
    query
        .bind(COUNTED)
        .bind(&filter.cause)
        .bind(filter.outcome_or_live())
        .bind(filter.backfill_id)
        .bind(&filter.asset_key)
        .bind(&filter.requested_by)
        .bind(filter.since.unwrap_or(beginning).max(beginning))
        .bind(filter.until.unwrap_or(end).min(end))
        .bind(requested_at)
        .bind(run_id)
        .bind(filter.live_state.map(LiveState::as_str))
        .bind(&filter.partition_key)
        .bind(searched)
}
