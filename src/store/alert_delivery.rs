//! Deliveries: what is to be said about alerts on which channel, and whether it was.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::alert::{ALERT_COLUMNS, AlertRecord};
use super::error::Context;
use super::text::storable;
use super::{Store, StoreError};

/// Something that is to be said, and what about.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct WaitingDelivery {
    /// Its id.
    pub delivery_id: i64,
    /// `opened`, `reminded` or `recovered`.
    pub event: String,
    /// How often it was tried.
    pub tries: i32,
    /// Not before.
    pub next_try_at: DateTime<Utc>,
    /// The alert.
    #[sqlx(flatten)]
    pub alert: AlertRecord,
}

/// Something that was or is to be said about an alert.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DeliveryRecord {
    /// Where.
    pub channel: String,
    /// `opened`, `reminded` or `recovered`.
    pub event: String,
    /// `waiting`, `delivered` or `given_up`.
    pub state: String,
    /// How often it was tried.
    pub tries: i32,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// The next try, while it waits.
    pub next_try_at: DateTime<Utc>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was delivered.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// What is to be said when, for [`Store::plan_deliveries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryTimes {
    /// The present instant.
    pub now: DateTime<Utc>,
    /// An alert that ended before it was announced is announced when it ended after this.
    pub announce_after: DateTime<Utc>,
    /// An alert of which nothing was said since then is said again.
    pub remind_before: DateTime<Utc>,
}

/// A try that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedTry<'a> {
    /// Why.
    pub error: &'a str,
    /// When to try again; `None` when that is of no use.
    pub retry_at: Option<DateTime<Utc>>,
    /// What has waited since before this is given up.
    pub give_up_before: DateTime<Utc>,
}

impl Store {
    /// Adds what is to be said on `channel`: open alerts that it does not know of, ends of alerts that it knows of, and
    /// reminders. Doing it twice is as doing it once. Returns what waits, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn plan_deliveries(
        &self,
        channel: &str,
        times: DeliveryTimes,
        limit: i64,
    ) -> Result<Vec<WaitingDelivery>, StoreError> {
        sqlx::query(include_str!("sql/plan_deliveries.sql"))
            .bind(channel)
            .bind(times.now)
            .bind(times.announce_after)
            .bind(times.remind_before)
            .execute(&self.pool)
            .await
            .context("planning what to say about alerts")?;
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select d.delivery_id, d.event, d.tries, d.next_try_at, {ALERT_COLUMNS}
             from karat.alert_delivery d join karat.alert a using (alert_id)
             where d.channel = $1 and d.state = 'waiting' order by d.delivery_id limit $2"
        )))
        .bind(channel)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .context("reading what to say about alerts")
    }

    /// When each message since `since` was delivered on `channel`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn messages_since(&self, channel: &str, since: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, StoreError> {
        sqlx::query_scalar(
            "select min(delivered_at) from karat.alert_delivery
             where channel = $1 and state = 'delivered' and delivered_at > $2 group by message_id order by 1",
        )
        .bind(channel)
        .bind(since)
        .fetch_all(&self.pool)
        .await
        .context("counting the messages of the last hour")
    }

    /// Reserves deliveries until `until`; false when somebody else has one of them, and then none is reserved.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn reserve_deliveries(
        &self,
        deliveries: &[i64],
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await.context("reserving deliveries")?;
        let reserved = sqlx::query(
            "update karat.alert_delivery set next_try_at = $2
             where delivery_id = any($1) and state = 'waiting' and next_try_at <= $3",
        )
        .bind(deliveries)
        .bind(until)
        .bind(now)
        .execute(&mut *transaction)
        .await
        .context("reserving deliveries")?
        .rows_affected();
        if usize::try_from(reserved).is_ok_and(|reserved| reserved == deliveries.len()) {
            transaction.commit().await.context("reserving deliveries")?;
            return Ok(true);
        }
        transaction.rollback().await.context("reserving deliveries")?;
        Ok(false)
    }

    /// Records that deliveries went out together, as one message; those in `told_end` said that the alert had ended.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn record_delivered(
        &self,
        deliveries: &[i64],
        told_end: &[i64],
        message_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update karat.alert_delivery
             set state = 'delivered', delivered_at = $3, message_id = $2, tries = tries + 1, last_error = null,
                 told_end = delivery_id = any($4)
             where delivery_id = any($1)",
        )
        .bind(deliveries)
        .bind(message_id)
        .bind(now)
        .bind(told_end)
        .execute(&self.pool)
        .await
        .context("recording a delivery")?;
        Ok(())
    }

    /// Records that deliveries were not accepted. Everything that waits on the channel waits with them, because the next
    /// message would meet the same. Returns how many deliveries were given up.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn record_undelivered(
        &self,
        channel: &str,
        deliveries: &[i64],
        failed: FailedTry<'_>,
    ) -> Result<u64, StoreError> {
        let given_up: i64 = sqlx::query_scalar(
            "with changed as (
                 update karat.alert_delivery
                 set tries = tries + case when delivery_id = any($2) then 1 else 0 end,
                     last_error = $3,
                     next_try_at = case
                         when delivery_id = any($2) then coalesce($4, next_try_at)
                         else greatest(next_try_at, $4)
                     end,
                     state = case
                         when created_at < $5 or ($4::timestamptz is null and delivery_id = any($2)) then 'given_up'
                         else 'waiting'
                     end
                 where channel = $1 and state = 'waiting' and ($4::timestamptz is not null or delivery_id = any($2))
                 returning state
             )
             select count(*) from changed where state = 'given_up'",
        )
        .bind(channel)
        .bind(deliveries)
        .bind(storable(failed.error))
        .bind(failed.retry_at)
        .bind(failed.give_up_before)
        .fetch_one(&self.pool)
        .await
        .context("recording a failed delivery")?;
        Ok(u64::try_from(given_up).unwrap_or(0))
    }

    /// What was and is to be said about an alert, oldest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn deliveries(&self, alert_id: i64) -> Result<Vec<DeliveryRecord>, StoreError> {
        sqlx::query_as(
            "select channel, event, state, tries, created_at, next_try_at, last_error, delivered_at
             from karat.alert_delivery where alert_id = $1 order by delivery_id limit 1000",
        )
        .bind(alert_id)
        .fetch_all(&self.pool)
        .await
        .context("reading the deliveries")
    }
}
