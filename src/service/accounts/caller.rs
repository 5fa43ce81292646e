//! Who asks, and what they may do.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::service::ServiceError;

/// What somebody may do: each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Launch, steer, switch and mark.
    Operator,
    /// Decide who may do what.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word in the database, on the command line and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of a word from the database; one that a later version knows may look only.
    pub(super) fn of_state(word: &str) -> Self {
        word.parse().unwrap_or(Self::Viewer)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| format!("`{word}` is no role: the roles are viewer, operator and admin"))
    }
}

/// By what somebody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The user of an operating system, with the database at hand.
    CommandLine,
    /// Somebody at this very machine, where no login is needed.
    Local,
    /// A login, by the session's number.
    Session(i64),
    /// A token, by its number.
    Token(i64),
}

impl Via {
    /// The word in the database and in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CommandLine => "command_line",
            Self::Local => "local",
            Self::Session(_) => "session",
            Self::Token(_) => "token",
        }
    }
}

/// Who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account's name, or the operating system's user.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their account; `None` where no login is needed.
    pub account_id: Option<i64>,
    /// By what they are known.
    pub via: Via,
    /// From where.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// The operating system's user of this process. Who reaches the database may do everything.
    #[must_use]
    pub fn command_line() -> Self {
        Self {
            name: operating_system_user(),
            role: Role::Admin,
            account_id: None,
            via: Via::CommandLine,
            address: None,
        }
    }

    /// Somebody at this very machine, where no login is needed.
    #[must_use]
    pub fn local(address: Option<IpAddr>) -> Self {
        Self { name: "local".to_owned(), role: Role::Admin, account_id: None, via: Via::Local, address }
    }

    /// Nobody in particular: pages ask in this name until it is known who asks them, and so can change nothing by mistake.
    #[must_use]
    pub fn nobody() -> Self {
        Self { name: "nobody".to_owned(), role: Role::Viewer, account_id: None, via: Via::Local, address: None }
    }

    /// Whether they may do what takes this role.
    #[must_use]
    pub fn may(&self, needed: Role) -> bool {
        self.role >= needed
    }

    /// Nothing, if they may do what takes this role.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], with what to do.
    pub fn authorize(&self, needed: Role) -> Result<(), ServiceError> {
        if self.may(needed) {
            return Ok(());
        }
        Err(ServiceError::Forbidden(format!(
            "this takes the role {needed}, and {} is {}: ask an admin",
            self.name, self.role
        )))
    }

    /// The session they came with.
    #[must_use]
    pub const fn session_id(&self) -> Option<i64> {
        match self.via {
            Via::Session(session_id) => Some(session_id),
            _ => None,
        }
    }
}

/// The name of the user this process runs for.
fn operating_system_user() -> String {
    let user = rustix::process::getuid().as_raw();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    named.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| format!("user {user}"))
}
