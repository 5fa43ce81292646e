//! Accounts: making, changing and listing them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::audit::Done;
use super::caller::{Caller, Role};
use super::login::LoginError;
use super::password::{Password, is_password};
use super::throttle::of_account;
use crate::core::suggest::did_you_mean;
use crate::service::{Service, ServiceError};
use crate::store::account::{AccountChange, AccountChanged, AccountRecord, NewAccount};

/// How long a name may be.
const NAME_CHARACTERS: usize = 64;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccountView {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it last logged in, as far as that is kept.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Whether it can log in with a password.
    pub has_password: bool,
    /// Who else vouches for it.
    pub login_provider: Option<String>,
    /// How many valid sessions it has.
    pub sessions: i64,
    /// How many valid tokens it has.
    pub tokens: i64,
}

/// A change of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangedAccountView {
    /// The account's name.
    pub name: String,
    /// What it may do now.
    pub role: Role,
    /// Since when it may do nothing.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Whether anything changed.
    pub changed: bool,
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-@".contains(character)
}

/// A name from elsewhere in the form in which names are kept.
pub(super) fn kept_name(name: &str) -> String {
    let characters = name.to_lowercase();
    characters.chars().map(|char| if is_allowed(char) { char } else { '-' }).take(NAME_CHARACTERS).collect()
}

/// A name in the form in which names are kept.
fn checked_name(name: &str) -> Result<String, ServiceError> {
    let name = name.trim().to_lowercase();
    if name.is_empty() || name.chars().count() > NAME_CHARACTERS || !name.chars().all(is_allowed) {
        return Err(ServiceError::Input(format!(
            "a user's name is made of 1 to {NAME_CHARACTERS} of the characters a-z, 0-9, `.`, `_`, `-` and `@`"
        )));
    }
    Ok(name)
}

impl Service {
    /// Makes an account; without a password it has nothing but tokens.
    ///
    /// # Errors
    /// When the name is wrong or taken, it would be the first account and not an admin with a password, or the state
    /// cannot be used.
    pub async fn create_account(
        &self,
        name: &str,
        role: Role,
        password: Option<&Password>,
    ) -> Result<ChangedAccountView, ServiceError> {
        self.authorize(Role::Admin)?;
        let name = checked_name(name)?;
        let hash = match password {
            Some(password) => Some(self.password_hash(password).await?),
            None => None,
        };
        let account = NewAccount { name: &name, role: role.as_str(), password_hash: hash.as_deref() };
        let command = format!("user add {name} --role {role}");
        let audit = self.record_of(Done {
            action: "user add",
            target: Some(&name),
            command: Some(&command),
            detail: Some(serde_json::json!({ "role": role })),
            ..Done::default()
        });
        match self.store.create_account(account, self.now(), audit).await? {
            None => Err(ServiceError::Refused(format!(
                "there is a user {name} already: `user ls` lists them, and `user passwd {name}` changes the password"
            ))),
            Some(None) => Err(ServiceError::Refused(
                "the first user has to be an admin with a password, or nobody could decide who may do what: \
                 `user add NAME --role admin`"
                    .to_owned(),
            )),
            Some(Some(account)) => {
                self.access_changed().await;
                Ok(changed_view(&account, true))
            }
        }
    }

    /// Gives an account another password, and ends all its sessions, those of who may have stolen the old one too. Its
    /// tokens stay.
    ///
    /// # Errors
    /// When there is no such account, or the state cannot be used.
    pub async fn set_password(&self, name: &str, password: &Password) -> Result<ChangedAccountView, ServiceError> {
        self.authorize(Role::Admin)?;
        let account = self.known_account(name).await?;
        self.replace_password(&account, password).await
    }

    /// Gives the account of the one who asks another password, and ends its other sessions. A wrong `current` counts as a
    /// failed login: whoever stole a session guesses no faster than anybody else.
    ///
    /// # Errors
    /// When `current` is not its password, too many were wrong, it has none, or the state cannot be used.
    pub async fn change_own_password(
        &self,
        current: &Password,
        password: &Password,
    ) -> Result<ChangedAccountView, ServiceError> {
        let Some(name) = self.caller().filter(|caller| caller.account_id.is_some()).map(|caller| caller.name.clone())
        else {
            return Err(ServiceError::Refused(
                "nobody is logged in, so that there is no password to change".to_owned(),
            ));
        };
        let account = self.known_account(&name).await?;
        let permit = self.accounts.hashing.clone().acquire_owned().await;
        let counter = of_account(&account.name);
        let guessed = counter.subject_hash.clone();
        self.counted(vec![counter]).await.map_err(|error| match error {
            LoginError::Service(error) => error,
            error => ServiceError::Refused(error.to_string()),
        })?;
        let is_right = is_password(current, account.password_hash.clone(), permit).await;
        if !is_right {
            let failed = Done { action: "user passwd failed", target: Some(&name), ..Done::default() };
            if let Some(audit) = self.record_of(failed) {
                self.store.record_audit(audit).await?;
            }
            return Err(ServiceError::Refused("the present password is another one".to_owned()));
        }
        self.store.login_succeeded(&guessed, &[]).await?;
        self.replace_password(&account, password).await
    }

    async fn replace_password(
        &self,
        account: &AccountRecord,
        password: &Password,
    ) -> Result<ChangedAccountView, ServiceError> {
        let hash = self.password_hash(password).await?;
        let kept =
            self.caller().filter(|caller| caller.account_id == Some(account.account_id)).and_then(Caller::session_id);
        let command = format!("user passwd {}", account.name);
        let audit = self.record_of(Done::on("user passwd", &account.name, &command));
        self.store.set_password(account.account_id, &hash, kept, self.now(), audit).await?;
        self.access_changed().await;
        Ok(changed_view(account, true))
    }

    /// Gives an account another role, which holds at once.
    ///
    /// # Errors
    /// When there is no such account, it is the last admin, or the state cannot be used.
    pub async fn set_role(&self, name: &str, role: Role) -> Result<ChangedAccountView, ServiceError> {
        let command = format!("user role {name} {role}");
        self.change_account(name, AccountChange::Role(role.as_str()), "user role", &command).await
    }

    /// Lets an account do nothing any more: its sessions end, and its tokens are worth nothing until it is let in again.
    ///
    /// # Errors
    /// When there is no such account, it is the last admin, or the state cannot be used.
    pub async fn disable_account(&self, name: &str) -> Result<ChangedAccountView, ServiceError> {
        self.change_account(name, AccountChange::Disable, "user disable", &format!("user disable {name}")).await
    }

    /// Lets an account in again that was disabled.
    ///
    /// # Errors
    /// When there is no such account, or the state cannot be used.
    pub async fn enable_account(&self, name: &str) -> Result<ChangedAccountView, ServiceError> {
        self.change_account(name, AccountChange::Enable, "user enable", &format!("user enable {name}")).await
    }

    async fn change_account(
        &self,
        name: &str,
        change: AccountChange<'_>,
        action: &'static str,
        command: &str,
    ) -> Result<ChangedAccountView, ServiceError> {
        self.authorize(Role::Admin)?;
        let account = self.known_account(name).await?;
        let detail = match change {
            AccountChange::Role(role) => Some(serde_json::json!({ "role": role, "before": account.role })),
            AccountChange::Disable | AccountChange::Enable => None,
        };
        let audit = self.record_of(Done {
            action,
            target: Some(&account.name),
            command: Some(command),
            detail,
            ..Done::default()
        });
        let changed = match self.store.change_account(account.account_id, change, self.now(), audit).await? {
            AccountChanged::LastAdmin => {
                return Err(ServiceError::Refused(format!(
                    "{} is the last admin who can log in: make another one first, with `user role NAME admin` or \
                     `user add NAME --role admin`",
                    account.name
                )));
            }
            AccountChanged::Changed => true,
            AccountChanged::Unchanged => false,
        };
        if changed {
            self.access_changed().await;
        }
        Ok(changed_view(&self.known_account(name).await?, changed))
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// When the one who asks is no admin, or the state cannot be read.
    pub async fn list_accounts(&self) -> Result<Vec<AccountView>, ServiceError> {
        self.authorize(Role::Admin)?;
        let accounts = self.store.accounts(self.now(), self.seen_after()).await?.into_iter();
        let view = accounts.map(|listed| AccountView {
            role: Role::of_state(&listed.account.role),
            name: listed.account.name,
            created_at: listed.account.created_at,
            disabled_at: listed.account.disabled_at,
            last_login_at: listed.last_login_at,
            has_password: listed.account.password_hash.is_some(),
            login_provider: listed.account.login_provider,
            sessions: listed.sessions,
            tokens: listed.tokens,
        });
        Ok(view.collect())
    }

    pub(super) async fn known_account(&self, name: &str) -> Result<AccountRecord, ServiceError> {
        let name = name.trim().to_lowercase();
        if let Some(account) = self.store.account(&name).await? {
            return Ok(account);
        }
        let accounts = self.store.accounts(self.now(), self.seen_after()).await?;
        let names = accounts.iter().map(|listed| listed.account.name.as_str());
        Err(ServiceError::Id(match did_you_mean(&name, names) {
            Some(near) => format!("there is no user `{name}`; did you mean `{near}`?"),
            None => format!("there is no user `{name}`: `user ls` lists them"),
        }))
    }
}

fn changed_view(account: &AccountRecord, changed: bool) -> ChangedAccountView {
    ChangedAccountView {
        name: account.name.clone(),
        role: Role::of_state(&account.role),
        disabled_at: account.disabled_at,
        changed,
    }
}
