//! Logging in: by a password, or because a provider vouches for somebody.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::access::Origin;
use super::account::kept_name;
use super::caller::{Caller, Role, Via};
use super::password::{Password, is_password};
use super::provider::{LoginAttempt, LoginProvider};
use super::secret::{Secret, hash_of};
use super::session::{MOST_SESSIONS, PROVIDED_SESSION_LIMIT, SESSION_LIMIT};
use super::throttle::{FORGOTTEN_AFTER, of_account, of_address};
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::account::{AccountRecord, ProvidedIdentity};
use crate::store::audit::NewAudit;
use crate::store::login::LoginCounter;
use crate::store::session::NewSession;

/// How long a login may wait until passwords of others have been hashed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of what a browser says of itself is kept.
const USER_AGENT_CHARACTERS: usize = 200;

/// Somebody wants to log in.
#[derive(Clone, Debug)]
pub struct LoginRequest {
    /// The account's name; case does not matter.
    pub name: String,
    /// Its password.
    pub password: Password,
    /// From where.
    pub address: Option<IpAddr>,
    /// With what, as that says.
    pub user_agent: Option<String>,
}

/// Somebody a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's id for them, which never changes.
    pub subject: String,
    /// Their name there.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// A login that succeeded.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// What is to be shown with every request.
    pub secret: Secret,
    /// Until when at the latest.
    pub expires_at: DateTime<Utc>,
    /// Who it is.
    pub caller: Caller,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such account, another password, or an account that may do nothing: which of these is nobody's business.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many failures.
    #[error("too many logins failed: try again in {} s", retry_after.as_secs())]
    Throttled {
        /// How long to wait, in whole seconds.
        retry_after: Duration,
    },
    /// A provider vouches for somebody who has no account here, and cannot get one.
    #[error(
        "there is no account for {0}: it is disabled, the name is taken, or nobody has made the first account yet. \
         Ask an admin"
    )]
    NoAccount(String),
    /// A provider knows somebody who may do nothing here.
    #[error("{0} says that you have no role here: ask an admin")]
    Unknown(String),
    /// A provider gave no answer that could be used; the log says why.
    #[error("{0} could not be asked who you are: try again")]
    Unreachable(String),
    /// The state could not be used.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl Service {
    /// Lets somebody in who knows the password of an account.
    ///
    /// A name nobody has takes as long as a wrong password. After five failures of an account, or twenty of an address,
    /// the next login has to wait, longer with each further failure, whoever tries.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login(&self, request: LoginRequest) -> Result<LoggedIn, LoginError> {
        let LoginRequest { name, password, address, user_agent } = request;
        let name = name.trim().to_lowercase();
        let Ok(Ok(permit)) = tokio::time::timeout(PATIENCE, self.accounts.hashing.clone().acquire_owned()).await else {
            return Err(LoginError::Throttled { retry_after: PATIENCE });
        };
        let by_account = of_account(&name);
        let by_address = address.map(of_address);
        let account_hash = by_account.subject_hash.clone();
        let address_hash = by_address.as_ref().map(|counter| counter.subject_hash.clone()).unwrap_or_default();
        self.counted(std::iter::once(by_account).chain(by_address).collect()).await?;
        let account = self.store.account(&name).await?;
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let is_right = is_password(&password, hash, permit).await;
        let Some(account) = account else { return Err(LoginError::Wrong) };
        if !is_right || account.disabled_at.is_some() {
            // Not waited for: how long it takes would tell that there is such an account.
            let service = self.clone();
            tokio::spawn(async move { service.record_failed_login(&account, address).await });
            return Err(LoginError::Wrong);
        }
        self.store.login_succeeded(&account_hash, &address_hash).await?;
        self.begin_session(&account, SESSION_LIMIT, address, user_agent.as_deref()).await
    }

    /// Lets somebody in who came back from a provider with `code`. Failures count against the address like wrong passwords.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login_by(
        &self,
        provider: &dyn LoginProvider,
        code: &str,
        attempt: &LoginAttempt,
        from: Origin,
        user_agent: Option<&str>,
    ) -> Result<LoggedIn, LoginError> {
        let counter = from.address.map(of_address);
        let counted = counter.as_ref().map(|counter| counter.subject_hash.clone()).unwrap_or_default();
        self.counted(counter.into_iter().collect()).await?;
        let identity = match provider.identify(code, attempt).await {
            Ok(Some(identity)) => identity,
            Ok(None) => return Err(LoginError::Unknown(provider.title().to_owned())),
            Err(error) => {
                tracing::warn!(provider = provider.name(), error, "nobody could be let in");
                return Err(LoginError::Unreachable(provider.title().to_owned()));
            }
        };
        let logged_in = self.login_as(provider.name(), &identity, from.address, user_agent).await?;
        self.store.login_succeeded(&[], &counted).await?;
        Ok(logged_in)
    }

    /// Lets somebody in for whom `provider` vouches: their account gets the role they have there, and is made if they
    /// have none, and has to ask again after a day. The first account of an installation has to be made by hand.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login_as(
        &self,
        provider: &str,
        identity: &Identity,
        address: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> Result<LoggedIn, LoginError> {
        let name = kept_name(&identity.name);
        let provided =
            ProvidedIdentity { provider, subject: &identity.subject, name: &name, role: identity.role.as_str() };
        let made = NewAudit {
            target: Some(&name),
            detail: Some(json!({ "role": identity.role, "provider": provider })),
            ..self.login_record(&name, identity.role.as_str(), "user add", address)
        };
        let known = if self.store.has_accounts().await? {
            let role = identity.role;
            self.store
                .provided_account(provided, self.now(), made, |account| NewAudit {
                    target: Some(&account.name),
                    detail: Some(json!({ "role": role, "before": account.role, "provider": provider })),
                    ..self.login_record(&account.name, role.as_str(), "user role", address)
                })
                .await?
        } else {
            None
        };
        let Some(account) = known else { return Err(LoginError::NoAccount(identity.name.clone())) };
        self.access_changed().await;
        self.begin_session(&account, PROVIDED_SESSION_LIMIT, address, user_agent).await
    }

    /// Counts a login as failed until it has succeeded.
    pub(super) async fn counted(&self, counters: Vec<LoginCounter>) -> Result<(), LoginError> {
        let now = self.now();
        let forgotten_before = now - TimeDelta::from_std(FORGOTTEN_AFTER).unwrap_or_default();
        match self.store.count_login(&counters, forgotten_before, now).await? {
            None => Ok(()),
            Some(wait) => Err(LoginError::Throttled { retry_after: Duration::from_secs(wait.as_secs() + 1) }),
        }
    }

    async fn begin_session(
        &self,
        account: &AccountRecord,
        limit: Duration,
        address: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> Result<LoggedIn, LoginError> {
        let now = self.now();
        let secret = Secret::random("");
        let expires_at = now + TimeDelta::from_std(limit).unwrap_or_default();
        let address_text = address.map(|address| address.to_canonical().to_string());
        let user_agent: Option<String> = user_agent.map(|text| text.chars().take(USER_AGENT_CHARACTERS).collect());
        let session = NewSession {
            session_hash: &hash_of(secret.reveal()),
            account_id: account.account_id,
            created_at: now,
            expires_at,
            address: address_text.as_deref(),
            user_agent: user_agent.as_deref(),
        };
        let audit = self.login_record(&account.name, &account.role, "login", address);
        let session_id = self.store.begin_session(session, MOST_SESSIONS, audit).await?;
        let caller = Caller {
            name: account.name.clone(),
            role: Role::of_state(&account.role),
            account_id: Some(account.account_id),
            via: Via::Session(session_id),
            address,
        };
        Ok(LoggedIn { secret, expires_at, caller })
    }

    /// The record of what an account does by logging in.
    fn login_record<'a>(
        &self,
        who: &'a str,
        role: &'a str,
        action: &'static str,
        address: Option<IpAddr>,
    ) -> NewAudit<'a> {
        NewAudit {
            happened_at: self.now(),
            who,
            role,
            via: "login",
            address: address.map(|address| address.to_canonical().to_string()),
            action,
            target: None,
            run_id: None,
            backfill_id: None,
            command: None,
            detail: None,
        }
    }

    /// Only of accounts that there are: names that somebody tried are not written down. It changed nothing, so that the
    /// log has to do when it cannot be recorded.
    async fn record_failed_login(&self, account: &AccountRecord, address: Option<IpAddr>) {
        let audit = self.login_record(&account.name, &account.role, "login failed", address);
        if let Err(error) = self.store.record_audit(audit).await {
            tracing::error!(%error, who = account.name, "a failed login is missing in the audit log");
        }
    }
}
