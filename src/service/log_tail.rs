//! Following what assets say while they are computed.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::run::log_line_view;
use super::{LogLineView, LogQuery, Service, ServiceError};
use crate::store::log::LogPlace;

/// Lines are written down some time after they are said, those of one worker later than those of another: so far behind the
/// newest line is looked for more.
const BEHIND: TimeDelta = TimeDelta::seconds(30);

/// How many lines come at once.
const AT_ONCE: i64 = 1_000;

/// The lines of a run as they come, each of them once.
pub struct LogTail {
    service: Service,
    run_id: Uuid,
    asset: Option<String>,
    partition: Option<String>,
    /// The newest line so far.
    newest: Option<DateTime<Utc>>,
    /// The lines that were told and may be read again.
    told: BTreeSet<(DateTime<Utc>, LogPlace)>,
}

impl Service {
    /// Follows the log of a run: first the last lines there are, as many as the query says, and then what comes.
    ///
    /// # Errors
    /// When the run or asset is unknown, or the state cannot be read.
    pub async fn follow_log(
        &self,
        run_id: Uuid,
        query: &LogQuery,
    ) -> Result<(Vec<LogLineView>, LogTail), ServiceError> {
        self.run_record(run_id).await?;
        let asset = match &query.asset {
            Some(name) => Some(self.definitions.find(name)?.key.to_string()),
            None => None,
        };
        let partition = query.partition.clone();
        let lines = self.store.run_log(run_id, asset.as_deref(), partition.as_deref(), i64::from(query.limit)).await?;
        let mut tail = LogTail { service: self.clone(), run_id, asset, partition, newest: None, told: BTreeSet::new() };
        let lines = lines.into_iter().map(|(asset, partition, line)| {
            tail.remember(line.logged_at, line.place());
            log_line_view(asset, partition, line)
        });
        let lines = lines.collect();
        Ok((lines, tail))
    }
}

impl LogTail {
    /// The lines that have come since, oldest first; none when there are none.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn more(&mut self) -> Result<Vec<LogLineView>, ServiceError> {
        let since = self.newest.map(|newest| newest - BEHIND);
        let (asset, partition) = (self.asset.as_deref(), self.partition.as_deref());
        let lines = self.service.store.run_log_since(self.run_id, asset, partition, since, AT_ONCE).await?;
        let mut views = Vec::new();
        for (asset, partition, line) in lines {
            if self.remember(line.logged_at, line.place()) {
                views.push(log_line_view(asset, partition, line));
            }
        }
        Ok(views)
    }

    /// Whether the run has ended, so that little more will come.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn has_ended(&self) -> Result<bool, ServiceError> {
        Ok(self.service.run_record(self.run_id).await?.finished_at.is_some())
    }

    /// Whether the line is told for the first time.
    fn remember(&mut self, at: DateTime<Utc>, place: LogPlace) -> bool {
        self.newest = self.newest.max(Some(at));
        if let Some(newest) = self.newest {
            // What is not read again need not be remembered.
            self.told = self.told.split_off(&(newest - BEHIND, LogPlace::FIRST));
        }
        self.told.insert((at, place))
    }
}
