//! Who is let in with what.

use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::caller::{Caller, Via};
use crate::service::{ListenError, Service, ServiceError};
use crate::store::signal::Signal;

/// How long it is believed that there are no accounts: asking with every request would be a waste.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Who needs a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginPolicy {
    /// Nobody at this very machine as long as there are no accounts; then everybody.
    #[default]
    WithAccounts,
    /// Everybody but who sits at this very machine, accounts or none.
    NotOnLoopback,
    /// Nobody, wherever they are: whoever reaches the address may do everything.
    Never,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address, as far as it is known.
    pub address: Option<IpAddr>,
    /// Whether it was made on this very machine, and not for somebody elsewhere: by a proxy, or by a page that has its
    /// name resolved to this machine.
    pub is_local: bool,
}

/// What somebody shows to be let in.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// A session's secret.
    pub session: Option<&'a str>,
    /// A token.
    pub token: Option<&'a str>,
    /// Where it is shown.
    pub origin: Origin,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identified {
    /// This is who it is.
    Caller(Caller),
    /// They have to log in.
    LoginNeeded,
    /// The token is none, or not valid any more.
    WrongToken,
    /// Nobody can log in yet, and they are not at this very machine.
    Elsewhere,
}

impl Service {
    /// Who it is that shows this. A token comes first, then a session, then that no login is needed.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn identify(&self, policy: LoginPolicy, presented: Presented<'_>) -> Result<Identified, ServiceError> {
        let Presented { session, token, origin } = presented;
        if let Some(token) = token {
            let caller = self.token_caller(token, origin.address).await?;
            return Ok(caller.map_or(Identified::WrongToken, Identified::Caller));
        }
        if let Some(session) = session
            && let Some(caller) = self.session_caller(session, origin.address).await?
        {
            return Ok(Identified::Caller(caller));
        }
        let without_login = match policy {
            LoginPolicy::Never => true,
            LoginPolicy::NotOnLoopback => origin.is_local,
            LoginPolicy::WithAccounts => origin.is_local && !self.has_accounts().await?,
        };
        if without_login {
            return Ok(Identified::Caller(Caller::local(origin.address)));
        }
        Ok(if self.has_accounts().await? { Identified::LoginNeeded } else { Identified::Elsewhere })
    }

    /// Whether there are accounts. That there are none is believed for a second.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn has_accounts(&self) -> Result<bool, ServiceError> {
        let known = *self.accounts.exist.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((exist, looked_at)) = known
            && (exist || looked_at.elapsed() < BELIEVED_FOR)
        {
            return Ok(exist);
        }
        let looked_at = Instant::now();
        let exist = self.store.has_accounts().await?;
        *self.accounts.exist.lock().unwrap_or_else(PoisonError::into_inner) = Some((exist, looked_at));
        Ok(exist)
    }

    /// Whether who was let in with this policy would be let in still.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn is_let_in(&self, policy: LoginPolicy, caller: &Caller) -> Result<bool, ServiceError> {
        Ok(match caller.via {
            Via::CommandLine => true,
            Via::Local => policy != LoginPolicy::WithAccounts || !self.has_accounts().await?,
            Via::Session(session_id) => self.store.is_session_valid(session_id, self.now(), self.seen_after()).await?,
            Via::Token(token_id) => self.store.is_token_valid(token_id, self.now()).await?,
        })
    }

    /// Accounts are looked for anew, and who is in the middle of something is asked for again.
    pub(super) async fn access_changed(&self) {
        *self.accounts.exist.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Done already: whoever misses it asks a little later.
        let _ = self.store.signal(Signal::Account).await;
    }

    /// Nothing, if pages may be served on this address: a loopback one, or any when there is a login or none is wanted.
    ///
    /// # Errors
    /// [`ListenError::NotLoopback`]; and when the state cannot be read.
    pub async fn may_listen(&self, address: SocketAddr, policy: LoginPolicy) -> Result<(), ListenError> {
        if address.ip().to_canonical().is_loopback() || policy == LoginPolicy::Never {
            return Ok(());
        }
        match self.has_accounts().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ListenError::NotLoopback(address)),
            Err(error) => Err(ListenError::Service(Box::new(error))),
        }
    }
}
