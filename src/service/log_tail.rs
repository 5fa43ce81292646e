//! Following what assets say while they are computed.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::run_detail::line_view;
use super::{LogLineView, LogTailQuery, Service, ServiceError};
use crate::store::run_detail::{LogFilter, LogRecord};

/// So many of the last lines are looked at each time: more are not said between two looks.
const LOOKED_AT: i64 = 5_000;

/// The lines of a run as they come, each of them once.
pub struct LogTail {
    service: Service,
    run_id: Uuid,
    filter: LogFilter,
    /// Those of the last lines that were told: step, attempt and number.
    told: BTreeSet<(i64, i64, i64)>,
}

impl Service {
    /// Follows the log of a run: first the last lines there are, as many as the query says, and then what comes.
    ///
    /// # Errors
    /// When the run or asset is unknown, or the state cannot be read.
    pub async fn follow_log(
        &self,
        run_id: Uuid,
        query: &LogTailQuery,
    ) -> Result<(Vec<LogLineView>, LogTail), ServiceError> {
        self.require_run(run_id).await?;
        let filter = self.log_filter(query)?;
        let mut tail = LogTail { service: self.clone(), run_id, filter, told: BTreeSet::new() };
        let mut lines = tail.more().await?;
        let shown = usize::try_from(query.limit).unwrap_or(usize::MAX);
        lines.drain(..lines.len().saturating_sub(shown));
        Ok((lines, tail))
    }
}

impl LogTail {
    /// The lines that have come since, oldest first; none when there are none. A line that is written down late comes
    /// late, after others that were said later.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn more(&mut self) -> Result<Vec<LogLineView>, ServiceError> {
        let lines = self.service.store.run_log_tail(self.run_id, &self.filter, LOOKED_AT).await?;
        let place = |record: &LogRecord| (record.line.step_id, record.line.lease_epoch, record.line.sequence);
        let told = std::mem::replace(&mut self.told, lines.iter().map(place).collect());
        Ok(lines.into_iter().filter(|line| !told.contains(&place(line))).map(line_view).collect())
    }

    /// Whether the run has ended, so that little more will come.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn has_ended(&self) -> Result<bool, ServiceError> {
        Ok(!self.service.is_live(self.run_id).await?)
    }
}
