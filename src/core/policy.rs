//! What a declaration may say about how an asset is computed, retried, checked and kept fresh: plain data.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::key::AssetKey;
use crate::core::word::{self, Word};

/// How the rows of one attempt meet the rows that are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// The partition's rows are deleted and the new ones inserted, in one transaction.
    ReplacePartition,
    /// New rows are added; a row whose natural key is present is left as it is.
    Append {
        /// The columns of a unique key of the table.
        natural_key: Vec<String>,
    },
}

/// When a failed attempt is tried again.
///
/// Only errors that say they are retryable are retried. The delay before attempt `n + 1` is `delay`, doubled per
/// earlier retry when `exponential`, never above `delay_limit`, and then varied by `jitter`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RetryPolicy {
    /// How many further attempts follow the first; 0 means none.
    pub retries: u32,
    /// The delay before the first retry.
    #[schema(value_type = Object)]
    pub delay: Duration,
    /// Whether the delay doubles from retry to retry.
    pub exponential: bool,
    /// No delay is longer than this.
    #[schema(value_type = Object)]
    pub delay_limit: Duration,
    /// The share of the delay, from 0 to 1, that is drawn at random: 0.2 means between 80 % and 120 %.
    pub jitter: f64,
}

impl RetryPolicy {
    /// No retry at all.
    pub const NONE: Self =
        Self { retries: 0, delay: Duration::ZERO, exponential: false, delay_limit: Duration::ZERO, jitter: 0.0 };

    /// Three retries after 1, 2 and 4 seconds, each varied by a fifth: right for a database that restarts.
    pub const DEFAULT: Self = Self {
        retries: 3,
        delay: Duration::from_secs(1),
        exponential: true,
        delay_limit: Duration::from_secs(300),
        jitter: 0.2,
    };

    /// A fixed number of retries at a fixed delay.
    #[must_use]
    pub const fn fixed(retries: u32, delay: Duration) -> Self {
        Self { retries, delay, exponential: false, delay_limit: delay, jitter: 0.0 }
    }

    /// The delay after attempt number `attempt` (the first is 1) failed, or `None` when no further attempt is due.
    ///
    /// `random` in `[0, 1)` is the draw for the jitter; the rule itself has no randomness.
    #[must_use]
    pub fn delay_after(&self, attempt: u32, random: f64) -> Option<Duration> {
        if attempt == 0 || attempt > self.retries {
            return None;
        }
        let doublings = if self.exponential { (attempt - 1).min(31) } else { 0 };
        let delay = self.delay.saturating_mul(1 << doublings).min(self.delay_limit);
        let jitter = if self.jitter.is_finite() { self.jitter.clamp(0.0, 1.0) } else { 0.0 };
        let draw = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
        Some(delay.mul_f64(1.0 + jitter * (2.0 * draw - 1.0)))
    }
}

/// When partitions of an asset are materialized without being asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Automation {
    /// Only on request.
    Manual,
    /// At the ticks of a five-field cron expression, in the calendar's zone.
    Cron(&'static str),
    /// When the partition is missing or what it reads changed, once the inputs have been quiet for `debounce`; where
    /// they never are, ten times `debounce` after the first change.
    Eager {
        /// How long the inputs must have been unchanged.
        debounce: Duration,
    },
    /// When the partition's window has ended, `grace` later: the first build, or that after one made early.
    OnClose {
        /// How long after the end of the window.
        grace: Duration,
    },
    /// When one of these says so.
    Any(&'static [Self]),
    /// When all of these say so.
    All(&'static [Self]),
}

impl Automation {
    /// Rebuild when inputs change, after a minute without a further change.
    #[must_use]
    pub const fn eager() -> Self {
        Self::Eager { debounce: Duration::from_secs(60) }
    }

    /// The cron expressions in this automation, nested ones included.
    #[must_use]
    pub fn cron_expressions(&self) -> Vec<&'static str> {
        match self {
            Self::Cron(expression) => vec![expression],
            Self::Any(parts) | Self::All(parts) => parts.iter().flat_map(Self::cron_expressions).collect(),
            Self::Manual | Self::Eager { .. } | Self::OnClose { .. } => Vec::new(),
        }
    }
}

/// How much of what a partition reads must be there, and fresh, before its automation builds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitPolicy {
    /// Every partition it reads.
    #[default]
    All,
    /// So many partitions of each upstream, or all where it reads fewer. What does not exist is recorded with the version,
    /// which is built again when more of it comes.
    AtLeast(u64),
}

impl WaitPolicy {
    /// So many partitions of each upstream; for use as an associated constant.
    #[must_use]
    pub const fn at_least(count: u64) -> Self {
        Self::AtLeast(count)
    }
}

/// By when the newest partition of an asset must be there.
///
/// Time partitions are judged by the newest version of an ended window: the window after it must follow in time. An
/// unpartitioned asset is judged by the age of its version, a static one by the age of its oldest, an external one by
/// when rows last landed, whatever partition they fall into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreshnessPolicy {
    /// What is due, and when.
    #[schema(value_type = Object)]
    pub rule: FreshnessRule,
    /// How long before that moment there is a warning; zero gives none.
    #[schema(value_type = Object)]
    pub warn_before: Duration,
}

/// What is due, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreshnessRule {
    /// The longest time from the end of a partition's window to its materialization; without windows, the longest time
    /// from one version, or from the landing of rows, to the next.
    MaximumLag(Duration),
    /// A five-field cron expression in the calendar's zone: at each tick every window that ended before it must have
    /// been materialized; without windows, there must be a version, or landed rows, since the tick before.
    Deadline(#[serde(deserialize_with = "word::read")] Word),
}

impl FreshnessPolicy {
    /// At most this many hours; for use as an associated constant.
    #[must_use]
    pub const fn hours(hours: u64) -> Option<Self> {
        Some(Self::maximum_lag(Duration::from_secs(hours * 3600)))
    }

    /// At most this long from the end of a window to its materialization.
    #[must_use]
    pub const fn maximum_lag(maximum_lag: Duration) -> Self {
        Self { rule: FreshnessRule::MaximumLag(maximum_lag), warn_before: Duration::ZERO }
    }

    /// By each tick of this five-field cron expression, in the calendar's zone.
    #[must_use]
    pub const fn deadline(cron: &'static str) -> Self {
        Self { rule: FreshnessRule::Deadline(cron), warn_before: Duration::ZERO }
    }

    /// The same policy with a warning this long before it is broken.
    #[must_use]
    pub const fn warn_before(mut self, before: Duration) -> Self {
        self.warn_before = before;
        self
    }

    /// The same policy with a warning after this lag; for a deadline, which knows no lag, nothing changes.
    #[must_use]
    pub const fn warn_after(mut self, lag: Duration) -> Self {
        if let FreshnessRule::MaximumLag(maximum_lag) = self.rule {
            self.warn_before = maximum_lag.saturating_sub(lag);
        }
        self
    }
}

/// What is asked for, for the end of a sentence.
impl fmt::Display for FreshnessPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            FreshnessRule::MaximumLag(lag) => {
                let (hours, seconds) = (lag.as_secs() / 3600, lag.as_secs() % 3600);
                match (hours, seconds / 60, seconds % 60) {
                    (hours, 0, 0) if hours > 0 => write!(formatter, "at most {hours} h are allowed"),
                    (0, minutes, 0) if minutes > 0 => write!(formatter, "at most {minutes} min are allowed"),
                    _ => write!(formatter, "at most {} s are allowed", lag.as_secs()),
                }
            }
            FreshnessRule::Deadline(expression) => write!(formatter, "it must be there at each tick of `{expression}`"),
        }
    }
}

/// An assertion on the rows of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AssetCheck {
    /// Unique within the asset; derived from kind and columns unless given.
    pub name: String,
    /// A failing blocking check keeps the new version from being published.
    pub blocking: bool,
    /// What is asserted.
    pub rule: CheckRule,
}

/// What a check asserts about the rows of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckRule {
    /// The column has a value in every row.
    NotNull {
        /// The column.
        column: String,
    },
    /// No two rows agree in all these columns.
    Unique {
        /// The columns.
        columns: Vec<String>,
    },
    /// Every value that is present, written as text, is one of these.
    AcceptedValues {
        /// The column.
        column: String,
        /// The values.
        values: Vec<String>,
    },
    /// The partition has at least and at most so many rows.
    RowCount {
        /// Fewest rows, inclusive.
        at_least: u64,
        /// Most rows, inclusive; `None` is unbounded.
        at_most: Option<u64>,
    },
    /// Every value that is present occurs in a column of another asset, which must be declared upstream.
    References {
        /// The referring column.
        column: String,
        /// The asset referred to.
        asset: AssetKey,
        /// The column referred to.
        target: String,
    },
    /// The newest value of a `timestamptz` or `date` column lies at most `maximum_age` before the end of the
    /// partition's window (for an open or unpartitioned one: before now). A partition without rows fails.
    Freshness {
        /// The column.
        column: String,
        /// The longest distance.
        #[schema(value_type = Object)]
        maximum_age: Duration,
    },
    /// A `select` that returns the offending rows; it may use the partition's parameters as the asset's own SQL does.
    Sql {
        /// The statement.
        statement: String,
    },
}

impl AssetCheck {
    fn new(name: String, rule: CheckRule) -> Self {
        Self { name, blocking: true, rule }
    }

    /// The same check, reporting only: a failure is recorded but does not keep the new version back.
    #[must_use]
    pub fn non_blocking(mut self) -> Self {
        self.blocking = false;
        self
    }

    /// The same check under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

/// Blocking check: `column` has a value in every row.
#[must_use]
pub fn not_null(column: &str) -> AssetCheck {
    AssetCheck::new(format!("not_null_{column}"), CheckRule::NotNull { column: column.to_owned() })
}

/// Blocking check: no two rows of the partition agree in all of `columns`.
#[must_use]
pub fn unique(columns: &[&str]) -> AssetCheck {
    AssetCheck::new(
        format!("unique_{}", columns.join("_")),
        CheckRule::Unique { columns: columns.iter().map(|&column| column.to_owned()).collect() },
    )
}

/// Blocking check: every value of `column` that is present is one of `values`.
#[must_use]
pub fn accepted_values(column: &str, values: &[&str]) -> AssetCheck {
    AssetCheck::new(
        format!("accepted_values_{column}"),
        CheckRule::AcceptedValues {
            column: column.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        },
    )
}

/// Blocking check: the partition has from `at_least` to `at_most` rows, both inclusive.
#[must_use]
pub fn row_count(at_least: u64, at_most: Option<u64>) -> AssetCheck {
    AssetCheck::new("row_count".to_owned(), CheckRule::RowCount { at_least, at_most })
}

/// Blocking check: every value of `column` that is present occurs in `target` of `asset`.
#[must_use]
pub fn references(column: &str, asset: AssetKey, target: &str) -> AssetCheck {
    AssetCheck::new(
        format!("references_{column}"),
        CheckRule::References { column: column.to_owned(), asset, target: target.to_owned() },
    )
}

/// Blocking check: the newest value of `column` is at most `maximum_age` older than the end of the partition.
#[must_use]
pub fn fresh(column: &str, maximum_age: Duration) -> AssetCheck {
    AssetCheck::new(format!("fresh_{column}"), CheckRule::Freshness { column: column.to_owned(), maximum_age })
}

/// Blocking check: `statement`, one `select`, returns no row.
#[must_use]
pub fn no_rows(name: &str, statement: &str) -> AssetCheck {
    AssetCheck::new(name.to_owned(), CheckRule::Sql { statement: statement.to_owned() })
}
