//! Tokens: what programs show instead of a password.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::audit::Done;
use super::caller::{Caller, Role, Via};
use super::secret::{Secret, hash_of};
use super::session::USE_TOLERANCE;
use crate::service::request::quoted;
use crate::service::{Service, ServiceError};
use crate::store::account::AccountRecord;
use crate::store::token::{NewToken, TokenRecord};

/// How every token begins, so that one that got lost is found.
const PREFIX: &str = "karat_";

/// How much of a token is shown.
const SHOWN_CHARACTERS: usize = PREFIX.len() + 6;

/// How long a token's name may be.
const NAME_CHARACTERS: usize = 64;

/// A token, without its secret, which nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenView {
    /// Its number.
    pub token_id: i64,
    /// Whose it is.
    pub account: String,
    /// Its name.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// The most it may do; never more than its account.
    pub role: Role,
    /// `valid`, `expired`, `revoked` or `disabled` (as its account is).
    pub state: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is over; never, without one.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is worth nothing.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, give or take five minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A token that was just made.
#[derive(Clone, Debug, Serialize)]
pub struct NewTokenView {
    /// The token.
    #[serde(flatten)]
    pub token: TokenView,
    /// Its secret, which is shown this once.
    #[serde(serialize_with = "revealed")]
    pub secret: Secret,
}

fn revealed<S: serde::Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.reveal())
}

impl TokenView {
    fn new(record: TokenRecord, now: DateTime<Utc>) -> Self {
        let state = match () {
            () if record.revoked_at.is_some() => "revoked",
            () if record.expires_at.is_some_and(|expires_at| expires_at <= now) => "expired",
            () if record.account_disabled_at.is_some() => "disabled",
            () => "valid",
        };
        Self {
            state: state.to_owned(),
            role: Role::of_state(&record.role).min(Role::of_state(&record.account_role)),
            token_id: record.token_id,
            account: record.account,
            name: record.name,
            prefix: record.prefix,
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            last_used_at: record.last_used_at,
        }
    }
}

impl Service {
    /// Makes a token of an account. Its secret is in the result and nowhere else.
    ///
    /// # Errors
    /// When it is another's account and the one who asks is no admin, they show a token themselves, the role is more than
    /// the account's, the name is taken, or the state cannot be used.
    pub async fn create_token(
        &self,
        account: &str,
        name: &str,
        role: Role,
        valid_for: Option<Duration>,
    ) -> Result<NewTokenView, ServiceError> {
        if self.caller().is_some_and(|caller| matches!(caller.via, Via::Token(_))) {
            // Whoever got hold of one could otherwise keep what it may do for longer than it is valid.
            return Err(ServiceError::Forbidden("a token cannot make tokens: log in with a password".to_owned()));
        }
        let account = self.account_of_tokens(account).await?;
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARACTERS || name.chars().any(char::is_control) {
            return Err(ServiceError::Input(format!(
                "a token's name says what it is for, in 1 to {NAME_CHARACTERS} characters"
            )));
        }
        let most = Role::of_state(&account.role).min(self.caller().map_or(Role::Admin, |caller| caller.role));
        if role > most {
            return Err(ServiceError::Forbidden(format!(
                "a token may do no more than its account: {} is {}",
                account.name, account.role
            )));
        }
        if account.disabled_at.is_some() {
            return Err(ServiceError::Refused(format!(
                "{0} is disabled: `user enable {0}` lets it in again",
                account.name
            )));
        }
        let now = self.now();
        let expires_at = valid_for.map(|duration| {
            let duration = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
            now.checked_add_signed(duration).unwrap_or(DateTime::<Utc>::MAX_UTC)
        });
        let secret = Secret::random(PREFIX);
        let token = NewToken {
            token_hash: &hash_of(secret.reveal()),
            account_id: account.account_id,
            name,
            prefix: &secret.reveal()[..SHOWN_CHARACTERS],
            role: role.as_str(),
            expires_at,
        };
        let target = format!("{} {name}", account.name);
        let command = format!("user token add {} --name {} --role {role}", account.name, quoted(name));
        let expires = expires_at.map(|expires_at| expires_at.to_rfc3339());
        let audit = self.record_of(Done {
            action: "user token add",
            target: Some(&target),
            command: Some(&command),
            detail: Some(serde_json::json!({ "prefix": token.prefix, "role": role, "expires_at": expires })),
            ..Done::default()
        });
        let Some(created) = self.store.create_token(token, now, audit).await? else {
            return Err(ServiceError::Refused(format!(
                "{} has a token `{name}` already: `user token ls` shows it; revoke it, or take another name",
                account.name
            )));
        };
        Ok(NewTokenView { token: TokenView::new(created, now), secret })
    }

    /// The tokens of an account, or of all, newest first; those that are worth nothing any more too.
    ///
    /// # Errors
    /// When it is another's account and the one who asks is no admin, there is no such account, or the state cannot be
    /// read.
    pub async fn tokens(&self, account: Option<&str>) -> Result<Vec<TokenView>, ServiceError> {
        let account = match account {
            Some(account) => Some(self.account_of_tokens(account).await?.name),
            None => {
                self.authorize(Role::Admin)?;
                None
            }
        };
        let now = self.now();
        let tokens = self.store.tokens(account.as_deref()).await?;
        Ok(tokens.into_iter().map(|token| TokenView::new(token, now)).collect())
    }

    /// Makes a token worthless at once; one that is already stays so.
    ///
    /// # Errors
    /// When there is no such token, it is another's and the one who asks is no admin, they show another token of less than
    /// an admin, or the state cannot be used.
    pub async fn revoke_token(&self, token_id: i64) -> Result<TokenView, ServiceError> {
        let unknown =
            || ServiceError::Id(format!("there is no token {token_id}: `user token ls` lists them with their numbers"));
        let token = self.store.token(token_id).await?.ok_or_else(unknown)?;
        // Of another's token nobody learns that it is there.
        if let Some(caller) = self.caller().filter(|caller| !caller.may(Role::Admin) && caller.name != token.account) {
            tracing::debug!(who = caller.name, "asked for another's token");
            return Err(unknown());
        }
        // What was lent for looking does not take away what else its owner uses.
        let shows_another = |caller: &&Caller| matches!(caller.via, Via::Token(own) if own != token_id);
        if self.caller().filter(shows_another).is_some_and(|caller| !caller.may(Role::Admin)) {
            return Err(ServiceError::Forbidden(
                "a token revokes itself and no other: log in with a password".to_owned(),
            ));
        }
        let now = self.now();
        let target = format!("{} {}", token.account, token.name);
        let command = format!("user token revoke {token_id}");
        let audit = self.record_of(Done::on("user token revoke", &target, &command));
        if self.store.revoke_token(token_id, now, audit).await? {
            self.access_changed().await;
        }
        let revoked = self.store.token(token_id).await?.ok_or_else(unknown)?;
        Ok(TokenView::new(revoked, now))
    }

    /// Who shows this token, if it is valid; looked up anew each time.
    ///
    /// # Errors
    /// When the state cannot be used.
    pub async fn token_caller(&self, secret: &str, address: Option<IpAddr>) -> Result<Option<Caller>, ServiceError> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let now = self.now();
        let Some(bearer) = self.store.token_bearer(&hash_of(secret), now).await? else { return Ok(None) };
        if bearer.used_at.is_none_or(|used_at| now - used_at > USE_TOLERANCE) {
            self.store.token_used(bearer.id, now).await?;
        }
        let role = Role::of_state(&bearer.role);
        Ok(Some(Caller {
            name: bearer.name,
            role: bearer.token_role.map_or(role, |token_role| Role::of_state(&token_role).min(role)),
            account_id: Some(bearer.account_id),
            via: Via::Token(bearer.id),
            address,
        }))
    }

    /// The account whose tokens are meant: one's own, or anybody's for an admin.
    async fn account_of_tokens(&self, name: &str) -> Result<AccountRecord, ServiceError> {
        let own = self.caller().is_none_or(|caller| caller.account_id.is_some() && caller.name == name);
        if !own {
            self.authorize(Role::Admin)?;
        }
        self.known_account(name).await
    }
}
