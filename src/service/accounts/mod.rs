//! Who may do what, and who did: accounts, sessions, tokens, logins and the record of what people did.

mod access;
mod account;
mod audit;
mod caller;
mod login;
mod password;
mod provider;
mod secret;
mod session;
mod throttle;
mod token;

use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

pub use self::access::{Identified, LoginPolicy, Origin, Presented};
pub use self::account::{AccountView, ChangedAccountView};
pub(super) use self::audit::Done;
pub use self::audit::{AuditQuery, AuditView};
pub use self::caller::{Caller, Role, Via};
pub use self::login::{Identity, LoggedIn, LoginError, LoginRequest};
pub use self::password::{MINIMUM_PASSWORD_CHARACTERS, Password};
pub use self::provider::{LoginAttempt, LoginProvider, LoginProviders};
pub use self::secret::Secret;
pub use self::session::SessionView;
pub use self::token::{NewTokenView, TokenView};

/// How many passwords are hashed at once: each takes a processor for a while, and 19 MiB.
const HASHES_AT_ONCE: usize = 2;

/// What all clones of a service share about accounts.
#[derive(Clone)]
pub(super) struct Accounts {
    hashing: Arc<Semaphore>,
    /// Whether there were accounts, and when that was looked up.
    exist: Arc<std::sync::Mutex<Option<(bool, Instant)>>>,
    signing_key: Arc<OnceCell<Secret>>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)), exist: Arc::default(), signing_key: Arc::default() }
    }
}
