//! Sessions: whether they are valid, and how they end.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::audit::Done;
use super::caller::{Caller, Role, Via};
use super::secret::{Secret, hash_of, random_bytes};
use crate::service::{Service, ServiceError};

/// How long a session lasts at most.
pub(super) const SESSION_LIMIT: Duration = Duration::from_secs(30 * 86_400);

/// How long a session lasts at most that a provider vouched for: it says again what somebody may do.
pub(super) const PROVIDED_SESSION_LIMIT: Duration = Duration::from_secs(86_400);

/// How long a session lasts that nobody uses.
const IDLE_LIMIT: Duration = Duration::from_secs(7 * 86_400);

/// How many sessions an account has at most; the oldest ends for another.
pub(super) const MOST_SESSIONS: i64 = 20;

/// How exactly it is known when something was last used: writing that down with every request would be a waste.
pub(super) const USE_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// How many bytes what signs cookies has.
const KEY_BYTES: usize = 64;

/// A valid session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SessionView {
    /// Its number.
    pub session_id: i64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, give or take five minutes.
    pub last_seen_at: DateTime<Utc>,
    /// When it is over at the latest.
    pub expires_at: DateTime<Utc>,
    /// From where it was begun.
    pub address: Option<String>,
    /// With what, as that says of itself.
    pub user_agent: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl Service {
    /// Since when a session must have been used to be valid.
    pub(super) fn seen_after(&self) -> DateTime<Utc> {
        self.now() - TimeDelta::from_std(IDLE_LIMIT).unwrap_or_default()
    }

    /// Who shows this session's secret, if it is valid. Looked up anew each time: a session that was ended, or an account
    /// that was disabled or given another role, is so at once, in every process.
    ///
    /// # Errors
    /// When the state cannot be used.
    pub async fn session_caller(&self, secret: &str, address: Option<IpAddr>) -> Result<Option<Caller>, ServiceError> {
        let now = self.now();
        let Some(bearer) = self.store.session_bearer(&hash_of(secret), now, self.seen_after()).await? else {
            return Ok(None);
        };
        if bearer.used_at.is_none_or(|used_at| now - used_at > USE_TOLERANCE) {
            self.store.session_seen(bearer.id, now).await?;
        }
        Ok(Some(Caller {
            name: bearer.name,
            role: Role::of_state(&bearer.role),
            account_id: Some(bearer.account_id),
            via: Via::Session(bearer.id),
            address,
        }))
    }

    /// The valid sessions of the one who asks, newest first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn own_sessions(&self) -> Result<Vec<SessionView>, ServiceError> {
        let Some(account_id) = self.caller().and_then(|caller| caller.account_id) else { return Ok(Vec::new()) };
        let current = self.caller().and_then(Caller::session_id);
        let sessions = self.store.sessions(account_id, self.now(), self.seen_after()).await?.into_iter();
        let view = sessions.map(|session| SessionView {
            current: current == Some(session.session_id),
            session_id: session.session_id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            address: session.address,
            user_agent: session.user_agent,
        });
        Ok(view.collect())
    }

    /// Ends the session of the one who asks.
    ///
    /// # Errors
    /// When the state cannot be used.
    pub async fn logout(&self) -> Result<(), ServiceError> {
        let Some(caller) = self.caller() else { return Ok(()) };
        if let (Some(account_id), Some(session_id)) = (caller.account_id, caller.session_id()) {
            let audit = self.record_of(Done { action: "logout", ..Done::default() });
            self.store.end_session(account_id, session_id, self.now(), audit).await?;
            self.access_changed().await;
        }
        Ok(())
    }

    /// Ends all sessions of the one who asks, except the one they ask with, and returns how many.
    ///
    /// # Errors
    /// When the state cannot be used.
    pub async fn end_other_sessions(&self) -> Result<u64, ServiceError> {
        let Some(caller) = self.caller() else { return Ok(0) };
        let Some(account_id) = caller.account_id else { return Ok(0) };
        let audit = self.record_of(Done { action: "user logout", target: Some(&caller.name), ..Done::default() });
        let ended = self.store.end_sessions(account_id, caller.session_id(), self.now(), audit).await?;
        self.access_changed().await;
        Ok(ended)
    }

    /// Ends all sessions of an account, and returns how many.
    ///
    /// # Errors
    /// When there is no such account, or the state cannot be used.
    pub async fn end_sessions(&self, name: &str) -> Result<u64, ServiceError> {
        self.authorize(Role::Admin)?;
        let account = self.known_account(name).await?;
        let command = format!("user logout {}", account.name);
        let audit = self.record_of(Done::on("user logout", &account.name, &command));
        let ended = self.store.end_sessions(account.account_id, None, self.now(), audit).await?;
        self.access_changed().await;
        Ok(ended)
    }

    /// What signs the cookies of this installation: 64 bytes, made once, the same for all its processes.
    ///
    /// # Errors
    /// When the state cannot be used.
    pub async fn signing_key(&self) -> Result<Vec<u8>, ServiceError> {
        let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = self
            .accounts
            .signing_key
            .get_or_try_init(async || {
                let proposed = hexadecimal(&random_bytes::<KEY_BYTES>());
                let kept = self.store.shared_secret("cookie", proposed.as_bytes(), self.now()).await?;
                Ok::<_, ServiceError>(Secret::new(String::from_utf8_lossy(&kept).into_owned()))
            })
            .await?;
        Ok(key.reveal().as_bytes().to_vec())
    }
}
