//! The record of what people did.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::{Caller, Role};
use crate::service::{Service, ServiceError};
use crate::store::audit::{AuditFilter, AuditRecord, NewAudit};

/// What the record of something says about its outcome until it has ended.
const OUTCOME_UNKNOWN: &str = "unknown";

/// Something that is to be done.
#[derive(Clone, Debug, Default)]
pub(in crate::service) struct Done<'a> {
    /// What: the words of the command line that come first.
    pub(in crate::service) action: &'static str,
    /// To what.
    pub(in crate::service) target: Option<&'a str>,
    /// The run it is about.
    pub(in crate::service) run_id: Option<Uuid>,
    /// The backfill it is about.
    pub(in crate::service) backfill_id: Option<Uuid>,
    /// The command line that does the same, without the program's name.
    pub(in crate::service) command: Option<&'a str>,
    /// More.
    pub(in crate::service) detail: Option<Value>,
}

impl<'a> Done<'a> {
    /// An action on something, with the command line that does the same.
    pub(in crate::service) fn on(action: &'static str, target: &'a str, command: &'a str) -> Self {
        Self { action, target: Some(target), command: Some(command), ..Self::default() }
    }
}

/// Something that was recorded before it began; nothing when nobody in particular asked for it.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Begun(Option<i64>);

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditView {
    /// Its number.
    pub audit_id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: an account's name as it was then, or an operating system's user.
    pub who: String,
    /// What they were allowed to do.
    pub role: String,
    /// By what they were known: `command_line`, `local`, `session`, `token` or `login`.
    pub via: String,
    /// From where.
    pub address: Option<String>,
    /// What, such as `backfill` or `user disable`.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// The run it is about.
    pub run_id: Option<Uuid>,
    /// The backfill it is about.
    pub backfill_id: Option<Uuid>,
    /// The command line that does the same, without the program's name.
    pub command: Option<String>,
    /// More.
    pub detail: Option<Value>,
}

/// Which records, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only of this account or user.
    pub who: Option<String>,
    /// Only of this action, or of those that begin with this word: `user` for all about users.
    pub action: Option<String>,
    /// Only about this run.
    pub run_id: Option<Uuid>,
    /// Only with numbers below.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl AuditView {
    /// The action in words; of what began and perhaps never ended it says so.
    #[must_use]
    pub fn what(&self) -> String {
        let outcome = self.detail.as_ref().and_then(|detail| detail.get("outcome"));
        match outcome.and_then(Value::as_str) {
            Some(OUTCOME_UNKNOWN) => format!("{} (begun, outcome unknown)", self.action),
            _ => self.action.clone(),
        }
    }
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        Self {
            audit_id: record.audit_id,
            at: record.happened_at,
            who: record.who,
            role: record.role,
            via: record.via,
            address: record.address,
            action: record.action,
            target: record.target,
            run_id: record.run_id,
            backfill_id: record.backfill_id,
            command: record.command,
            detail: record.detail,
        }
    }
}

impl Service {
    /// The same, asked by `caller`: what it changes is recorded in their name, and some things only some may.
    #[must_use]
    pub fn acting(&self, caller: Caller) -> Self {
        Self { caller: Some(std::sync::Arc::new(caller)), ..self.clone() }
    }

    /// The same, asked by nobody in particular: nothing is recorded, and nothing is forbidden.
    #[must_use]
    pub fn unattended(&self) -> Self {
        Self { caller: None, ..self.clone() }
    }

    /// Who asks; `None` for the program itself.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_deref()
    }

    /// Nothing, if the one who asks may do what takes this role. Everything here that changes something asks this, whatever
    /// was asked before: pages that forget in whose name they ask can change nothing.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`].
    pub fn authorize(&self, needed: Role) -> Result<(), ServiceError> {
        self.caller().map_or(Ok(()), |caller| caller.authorize(needed))
    }

    /// The name under which runs are launched.
    pub(in crate::service) fn requested_by(&self) -> Option<String> {
        self.caller().map(|caller| caller.name.clone())
    }

    /// The record of what is to be done, for the store to write in the transaction that does it: nothing is done of which
    /// nobody knows who did it. `None` when nobody in particular asks.
    pub(in crate::service) fn record_of<'a>(&'a self, done: Done<'a>) -> Option<NewAudit<'a>> {
        self.caller().map(|caller| NewAudit {
            happened_at: self.now(),
            who: &caller.name,
            role: caller.role.as_str(),
            via: caller.via.as_str(),
            address: caller.address.map(|address| address.to_canonical().to_string()),
            action: done.action,
            target: done.target,
            run_id: done.run_id,
            backfill_id: done.backfill_id,
            command: done.command,
            detail: done.detail,
        })
    }

    /// Records what is no single transaction before it begins. [`ended`](Self::ended) is to follow; where it does not, the
    /// record says that nobody knows what came of it.
    ///
    /// # Errors
    /// When that cannot be recorded: it must not begin then.
    pub(in crate::service) async fn begin(&self, done: Done<'_>) -> Result<Begun, ServiceError> {
        let done = Done { detail: Some(json!({ "outcome": OUTCOME_UNKNOWN })), ..done };
        Ok(Begun(match self.record_of(done) {
            Some(audit) => Some(self.store.record_audit(audit).await?),
            None => None,
        }))
    }

    /// Writes into its record what came of something that began. It stays done when that cannot be written.
    pub(in crate::service) async fn ended(&self, begun: Begun, detail: Value) {
        let Begun(Some(audit_id)) = begun else { return };
        if let Err(error) = self.store.complete_audit(audit_id, &detail).await {
            tracing::error!(%error, audit_id, %detail, "the audit log lacks what came of what was begun");
        }
    }

    /// What people did, newest first.
    ///
    /// # Errors
    /// When the one who asks is no admin, or the state cannot be read.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditView>, ServiceError> {
        self.authorize(Role::Admin)?;
        let filter = AuditFilter {
            who: query.who.clone(),
            action: query.action.clone(),
            run_id: query.run_id,
            before: query.before,
            limit: i64::from(query.limit),
        };
        Ok(self.store.audit(&filter).await?.into_iter().map(AuditView::from).collect())
    }
}
