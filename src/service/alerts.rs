//! Alerts: what wants attention, what was said about it, and whether messages arrive.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::Done;
use super::request::quoted;
use super::{Service, ServiceError};
use crate::daemon::alert_channel::{AlertChannel, AlertMessage};
use crate::daemon::{Posted, Poster};
use crate::store::alert::AlertRecord;
use crate::store::alert_delivery::DeliveryRecord;

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    /// Its number.
    pub alert_id: i64,
    /// `run_failed`, `check_failed`, `freshness_failed`, `scheduler_stalled` or `quarantine_grew`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// `warning` or `error`.
    pub severity: String,
    /// In a line.
    pub title: String,
    /// What is known, in sentences.
    pub detail: String,
    /// The command to look with, without the program's name.
    pub command: String,
    /// When it was noticed.
    pub opened_at: DateTime<Utc>,
    /// When it was last noticed.
    pub last_seen_at: DateTime<Utc>,
    /// When it ended; `None` while it lasts.
    pub recovered_at: Option<DateTime<Utc>>,
}

impl From<AlertRecord> for AlertView {
    fn from(record: AlertRecord) -> Self {
        Self {
            alert_id: record.alert_id,
            kind: record.kind,
            subject: record.subject,
            severity: record.severity,
            title: record.title,
            detail: record.explanation,
            command: record.command,
            opened_at: record.opened_at,
            last_seen_at: record.last_seen_at,
            recovered_at: record.recovered_at,
        }
    }
}

/// An alert with what was and is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertDetailView {
    /// The alert.
    #[serde(flatten)]
    pub alert: AlertView,
    /// On each channel, oldest first.
    pub deliveries: Vec<DeliveryView>,
}

/// Something that was or is to be said about an alert on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    /// The channel.
    pub channel: String,
    /// `opened`, `reminded` or `recovered`.
    pub event: String,
    /// `waiting`, `delivered` or `given_up`.
    pub state: String,
    /// How often it was tried.
    pub tries: i32,
    /// Since when it is to be said.
    pub created_at: DateTime<Utc>,
    /// When it is tried next; `None` when it is not any more.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was delivered.
    pub delivered_at: Option<DateTime<Utc>>,
}

impl From<DeliveryRecord> for DeliveryView {
    fn from(record: DeliveryRecord) -> Self {
        Self {
            next_try_at: (record.state == "waiting").then_some(record.next_try_at),
            channel: record.channel,
            event: record.event,
            state: record.state,
            tries: record.tries,
            created_at: record.created_at,
            last_error: record.last_error,
            delivered_at: record.delivered_at,
        }
    }
}

/// What became of a test message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestedChannelView {
    /// The channel.
    pub channel: String,
    /// Scheme, host and port of its URL.
    pub place: String,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The status of the answer, when it was taken.
    pub status: Option<u16>,
    /// Why it was not.
    pub error: Option<String>,
}

impl Service {
    /// The newest alerts, newest first: at most `limit`, older than `before`, only those that last when asked.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn alerts(
        &self,
        open_only: bool,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AlertView>, ServiceError> {
        let alerts = self.store.alerts(open_only, before, i64::from(limit)).await?;
        Ok(alerts.into_iter().map(AlertView::from).collect())
    }

    /// One alert with its deliveries.
    ///
    /// # Errors
    /// When there is no such alert, or the state cannot be read.
    pub async fn alert(&self, alert_id: i64) -> Result<AlertDetailView, ServiceError> {
        let Some(alert) = self.store.alert(alert_id).await? else {
            return Err(ServiceError::Id(format!(
                "there is no alert {alert_id}: `alert ls` lists them with their numbers"
            )));
        };
        let deliveries = self.store.deliveries(alert_id).await?;
        let deliveries = deliveries.into_iter().map(DeliveryView::from).collect();
        Ok(AlertDetailView { alert: alert.into(), deliveries })
    }

    /// Sends a test message in the name of `program` on one channel, once. It is no alert and counts against no
    /// limit.
    ///
    /// # Errors
    /// When it cannot be recorded who asked for that; nothing was sent then.
    pub async fn test_channel(
        &self,
        program: &str,
        channel: &dyn AlertChannel,
    ) -> Result<TestedChannelView, ServiceError> {
        let now = self.now();
        let command = format!("alert test {}", quoted(channel.name()));
        let begun = self.begin(Done::on("alert test", channel.name(), &command)).await?;
        let (status, error) = match Poster::default().post(channel, &AlertMessage::test(program, now), now).await {
            Posted::Accepted { status } => (Some(status), None),
            Posted::Refused { error } | Posted::Failed { error, .. } => (None, Some(error)),
        };
        self.ended(begun, serde_json::json!({ "delivered": error.is_none() })).await;
        Ok(TestedChannelView {
            channel: channel.name().to_owned(),
            place: channel.url().place(),
            delivered: error.is_none(),
            status,
            error,
        })
    }
}
