//! How an attempt ends. Every ending is fenced: it takes effect only while the step is still held under the same lease.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::Context;
use super::text::storable;
use super::{Store, StoreError};

/// Binds what checks found as lists, in the order of [`insert_findings`].
macro_rules! bind_findings {
    ($query:expr, $findings:expr) => {
        $query
            .bind($findings.iter().map(|finding| finding.step_id).collect::<Vec<_>>())
            .bind($findings.iter().map(|finding| finding.lease_epoch).collect::<Vec<_>>())
            .bind($findings.iter().map(|finding| finding.partition_key.as_str()).collect::<Vec<_>>())
            .bind($findings.iter().map(|finding| finding.check_name.as_str()).collect::<Vec<_>>())
            .bind($findings.iter().map(|finding| finding.blocking).collect::<Vec<_>>())
            .bind($findings.iter().map(|finding| finding.passed).collect::<Vec<_>>())
            .bind($findings.iter().map(|finding| finding.offending_rows).collect::<Vec<_>>())
            .bind($findings.iter().map(|finding| storable(&finding.message)).collect::<Vec<_>>())
    };
}

/// What one partition's publication records.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The step.
    pub step_id: i64,
    /// The lease it is held under.
    pub lease_epoch: i64,
    /// The partition.
    pub partition_key: String,
    /// Its ordinal.
    pub ordinal: i64,
    /// Rows in the partition.
    pub row_count: i64,
    /// Hash of the content.
    pub data_version: String,
    /// Whether the content differs from the version before.
    pub content_changed: bool,
    /// Whether the window has not closed yet.
    pub open: bool,
    /// Upstream asset → digest of the versions read.
    pub input_versions: Value,
    /// Required partitions that were missing, when forced.
    pub incomplete_inputs: Option<Value>,
}

/// What the attempt as a whole records.
#[derive(Clone, Debug)]
pub struct AttemptRecord<'a> {
    /// The worker that made it.
    pub worker_id: Uuid,
    /// The asset.
    pub asset_key: &'a str,
    /// The asset's code version.
    pub code_version: &'a str,
    /// The run.
    pub run_id: Uuid,
    /// What the asset said of itself.
    pub metadata: Option<Value>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// What a check found on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFinding {
    /// The step.
    pub step_id: i64,
    /// The lease it is held under.
    pub lease_epoch: i64,
    /// The partition.
    pub partition_key: String,
    /// The check.
    pub check_name: String,
    /// Whether a failure keeps the version back.
    pub blocking: bool,
    /// Whether it passed.
    pub passed: bool,
    /// Rows that offend, 0 when passed.
    pub offending_rows: i64,
    /// The finding in words.
    pub message: String,
}

/// How an attempt ended that published nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The partition was fresh already.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Another attempt follows at that time.
    Retry {
        /// When.
        at: DateTime<Utc>,
    },
    /// The step failed for good.
    Failed,
    /// An input was missing or an upstream failed.
    Blocked {
        /// What was missing.
        reason: String,
    },
    /// The run was canceled.
    Canceled,
    /// The connection to the database broke: whether the asset would have succeeded is not known.
    Lost,
    /// The worker stops and gives the step back untried.
    HandedBack,
}

/// The error of a failed attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFailure {
    /// `retryable`, `fatal`, `timeout`, `check`, `panic`, `rows_outside_partition`, …
    pub kind: String,
    /// The whole message.
    pub message: String,
    /// Where a panic came from.
    pub backtrace: Option<String>,
}

/// Records the publication of `publications` (one attempt's partitions of one asset) in the attempt's own transaction,
/// and returns how many of its steps were still held under their lease.
///
/// Fewer than `publications.len()` means that the fence does not hold: the caller must roll back. The materialization
/// before it stops being the current one; the snapshot recorded is the transaction's.
///
/// # Errors
/// When a statement fails, a serialization failure (another owner has touched the step or the partition) included.
pub async fn publish(
    connection: &mut PgConnection,
    record: &AttemptRecord<'_>,
    publications: &[Publication],
    findings: &[CheckFinding],
) -> Result<u64, StoreError> {
    const PUBLISH: &str = include_str!("sql/publish.sql");
    let column = |take: fn(&Publication) -> i64| publications.iter().map(take).collect::<Vec<i64>>();
    let statement = if findings.is_empty() {
        PUBLISH.to_owned()
    } else {
        // What was found goes with it. When the fence does not hold, all of it is rolled back.
        format!("with noted as ({}) {PUBLISH}", insert_findings("$12", "$17", 18))
    };
    let publishing = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .bind(column(|publication| publication.step_id))
        .bind(column(|publication| publication.lease_epoch))
        .bind(publications.iter().map(|publication| publication.partition_key.as_str()).collect::<Vec<_>>())
        .bind(column(|publication| publication.ordinal))
        .bind(column(|publication| publication.row_count))
        .bind(publications.iter().map(|publication| publication.data_version.as_str()).collect::<Vec<_>>())
        .bind(publications.iter().map(|publication| publication.content_changed).collect::<Vec<_>>())
        .bind(publications.iter().map(|publication| publication.open).collect::<Vec<_>>())
        .bind(publications.iter().map(|publication| publication.input_versions.clone()).collect::<Vec<_>>())
        .bind(publications.iter().map(|publication| publication.incomplete_inputs.clone()).collect::<Vec<_>>())
        .bind(record.worker_id)
        .bind(record.asset_key)
        .bind(record.code_version)
        .bind(record.run_id)
        .bind(&record.metadata)
        .bind(record.started_at)
        .bind(record.finished_at);
    let publishing = if findings.is_empty() { publishing } else { bind_findings!(publishing, findings) };
    let held: i64 = publishing.fetch_one(&mut *connection).await.context("recording the materialization")?;
    Ok(u64::try_from(held).unwrap_or(0))
}

/// Inserts what checks found: a statement in which these words stand for the asset and the time, and the lists of
/// [`bind_findings`] begin at the parameter `first`.
fn insert_findings(asset: &str, checked_at: &str, first: usize) -> String {
    let types = ["bigint", "bigint", "text", "text", "boolean", "boolean", "bigint", "text"];
    let lists: Vec<String> =
        types.iter().enumerate().map(|(at, of_type)| format!("${}::{of_type}[]", first + at)).collect();
    format!(
        "insert into karat.check_result
             (step_id, lease_epoch, asset_key, partition_key, check_name, blocking, passed, offending_rows, message, checked_at)
         select f.step_id, f.lease_epoch, {asset}, f.partition_key, f.check_name, f.blocking, f.passed, f.offending_rows,
                f.message, {checked_at}
         from unnest({})
              as f (step_id, lease_epoch, partition_key, check_name, blocking, passed, offending_rows, message)",
        lists.join(", ")
    )
}

/// Writes what checks found; part of whatever transaction `connection` is in.
///
/// # Errors
/// When the statement fails.
async fn record_findings(
    connection: &mut PgConnection,
    asset_key: &str,
    findings: &[CheckFinding],
    checked_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if findings.is_empty() {
        return Ok(());
    }
    let statement = sqlx::AssertSqlSafe(insert_findings("$1", "$2", 3));
    bind_findings!(sqlx::query(statement).bind(asset_key).bind(checked_at), findings)
        .execute(connection)
        .await
        .context("recording check results")?;
    Ok(())
}

impl Store {
    /// Ends attempts that published nothing, all in the same way, in one transaction; returns how many were still held.
    ///
    /// Steps whose lease went to somebody else are left alone. `findings` are kept for the steps that were still held.
    ///
    /// A step that was lost `lost_attempts_limit` times fails. One that would wait again, of a run that was asked to
    /// cancel, is canceled.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn end_attempts(
        &self,
        record: &AttemptRecord<'_>,
        steps: &[(i64, i64)],
        ending: &Ending,
        failure: &AttemptFailure,
        findings: &[CheckFinding],
        lost_attempts_limit: i64,
    ) -> Result<u64, StoreError> {
        let (state, outcome, reason, retry_at) = match ending {
            Ending::Skipped { reason } => ("skipped", Some("skipped"), Some(reason.as_str()), None),
            Ending::Retry { at } => ("ready", Some("failed"), Some(failure.message.as_str()), Some(*at)),
            Ending::Failed => ("failed", Some("failed"), Some(failure.message.as_str()), None),
            Ending::Blocked { reason } => ("blocked", Some("failed"), Some(reason.as_str()), None),
            Ending::Canceled => ("canceled", Some("canceled"), None, None),
            Ending::Lost => ("ready", Some("lost"), Some(failure.message.as_str()), None),
            Ending::HandedBack => ("ready", None, None, None),
        };
        let mut transaction = self.pool.begin().await.context("ending an attempt")?;
        let held: i64 = sqlx::query_scalar(include_str!("sql/end_attempts.sql"))
            .bind(steps.iter().map(|step| step.0).collect::<Vec<_>>())
            .bind(steps.iter().map(|step| step.1).collect::<Vec<_>>())
            .bind(record.worker_id)
            .bind(state)
            .bind(outcome)
            .bind(reason.map(storable))
            .bind(retry_at)
            .bind(record.started_at)
            .bind(record.finished_at)
            .bind(&failure.kind)
            .bind(storable(&failure.message))
            .bind(failure.backtrace.as_deref().map(storable))
            .bind(lost_attempts_limit)
            .fetch_one(&mut *transaction)
            .await
            .context("ending an attempt")?;
        if held > 0 {
            record_findings(&mut transaction, record.asset_key, findings, record.finished_at).await?;
        }
        transaction.commit().await.context("ending an attempt")?;
        Ok(u64::try_from(held).unwrap_or(0))
    }
}
