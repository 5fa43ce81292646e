//! Whose transaction numbers the state holds.
//!
//! Marks and snapshots are compared by transaction numbers, which belong to a server. A dump that is restored on another
//! one brings numbers along that its own transactions will reach some day, or have passed already.

use sqlx::FromRow;

use super::error::{Context, sql_state};
use super::{Store, StoreError};

/// The server that numbered the transactions in the state, and the server that holds it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct ClusterIdentity {
    /// Whose numbers the state has; `None` until it was noted.
    pub noted: Option<i64>,
    /// The server itself.
    pub present: i64,
}

/// What sees the numbers that renumbered marks get, and no transaction that will ever be.
const SEES_RENUMBERED: &str = "4:4:";

/// The number that all transactions of another server get: the first that PostgreSQL gives to anyone.
const RENUMBERED: &str = "3";

impl Store {
    /// Whose numbers the state has, and whose server this is; `None` when the database user may not ask.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn cluster_identity(&self) -> Result<Option<ClusterIdentity>, StoreError> {
        let asked = sqlx::query_as(
            "select (select system_identifier from karat.cluster) as noted, system_identifier as present
             from pg_control_system()",
        )
        .fetch_one(&self.pool)
        .await;
        match asked {
            Err(error) if sql_state(&error).as_deref() == Some("42501") => Ok(None),
            asked => Ok(Some(asked.context("asking which server this is")?)),
        }
    }

    /// Notes that the transactions in the state are numbered by the server `present`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn note_cluster(&self, present: i64) -> Result<(), StoreError> {
        sqlx::query("insert into karat.cluster (system_identifier) values ($1) on conflict do nothing")
            .bind(present)
            .execute(&self.pool)
            .await
            .context("noting which server this is")?;
        Ok(())
    }

    /// Gives all marks and versions numbers that mean the same on the server `present`, which did not make them: the
    /// versions `stale` (asset and partition key) see no mark, all others see every mark there is, and none sees what
    /// is written from now on. False when somebody else has done it.
    ///
    /// # Errors
    /// When the database cannot be used; nothing was changed then.
    pub async fn renumber(&self, noted: i64, present: i64, stale: &[(String, String)]) -> Result<bool, StoreError> {
        const DOING: &str = "renumbering the state after a restore";
        let mut transaction = self.pool.begin().await.context(DOING)?;
        let taken = sqlx::query("update karat.cluster set system_identifier = $2 where system_identifier = $1")
            .bind(noted)
            .bind(present)
            .execute(&mut *transaction)
            .await
            .context(DOING)?;
        if taken.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("update karat.mark set transaction_id = $1::text::xid8")
            .bind(RENUMBERED)
            .execute(&mut *transaction)
            .await
            .context(DOING)?;
        sqlx::query(
            "update karat.materialization m
             set transaction_id = $1::text::xid8,
                 snapshot = case when exists (
                         select from unnest($4::text[], $5::text[]) as s (asset_key, partition_key)
                         where s.asset_key = m.asset_key and s.partition_key = m.partition_key)
                     then $3::text::pg_snapshot else $2::text::pg_snapshot end",
        )
        .bind(RENUMBERED)
        .bind(SEES_RENUMBERED)
        .bind(super::materialization::SEES_NOTHING)
        .bind(stale.iter().map(|(asset, _)| asset.as_str()).collect::<Vec<_>>())
        .bind(stale.iter().map(|(_, partition)| partition.as_str()).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await
        .context(DOING)?;
        transaction.commit().await.context(DOING)?;
        Ok(true)
    }
}
