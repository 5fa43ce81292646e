//! What handlers share.

use tokio_util::sync::CancellationToken;

use crate::engine::{Subscription, Wakeups};
use crate::service::{LoginPolicy, Observer, PictureKeeper, Service};

/// What handlers share: everything they can ask, and what belongs to the process.
pub(crate) struct App {
    /// What a person can ask for.
    pub(crate) service: Service,
    /// How everything stands.
    pub(crate) picture: PictureKeeper,
    /// How the process is.
    pub(crate) observer: Observer,
    /// The program's name, as it is called on the command line.
    pub(crate) program: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// Who needs a login.
    pub(crate) login: LoginPolicy,
    /// Cancelled when the server should end.
    pub(crate) stop: CancellationToken,
    pub(super) wakeups: Option<Wakeups>,
}

impl App {
    /// What happens in the database from now on.
    pub(crate) fn wakeups(&self) -> Subscription {
        self.wakeups.as_ref().map_or_else(Subscription::silent, Wakeups::subscribe)
    }
}
