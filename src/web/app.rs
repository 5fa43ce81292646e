//! What handlers share.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::access::Caller;
use crate::daemon::alert_channel::AlertChannel;
use crate::engine::{Subscription, Wakeups};
use crate::service::{LoginPolicy, LoginProvider, Observer, Picture, PictureKeeper, Service};
use crate::store::signal::Signal;

/// How long a stream goes on at most without it being asked whether its reader may still read.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// How long the newest picture is waited for; after that it is taken as it is.
const PICTURE_LIMIT: Duration = Duration::from_secs(2);

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
    /// Who else knows people.
    pub(crate) providers: Vec<Arc<dyn LoginProvider>>,
    /// Cancelled when the server should end.
    pub(crate) stop: CancellationToken,
    /// Where alerts are sent.
    pub(crate) channels: Vec<Arc<dyn AlertChannel>>,
    pub(super) wakeups: Option<Wakeups>,
}

impl App {
    /// How everything stands, with what was committed before this was called unless that takes too long.
    pub(crate) async fn newest_picture(&self) -> Arc<Picture> {
        match tokio::time::timeout(PICTURE_LIMIT, self.picture.up_to_date()).await {
            Ok(picture) => picture,
            Err(_) => self.picture.current(),
        }
    }

    /// What happens in the database from now on.
    pub(crate) fn wakeups(&self) -> Subscription {
        self.wakeups.as_ref().map_or_else(Subscription::silent, Wakeups::subscribe)
    }

    /// Ends when `caller` is let in no more: for answers that go on for long, with `take_until`.
    pub(crate) fn revoked(&self, caller: &Caller) -> impl Future<Output = ()> + Send + use<> {
        let (service, policy, mut heard, caller) = (self.service.clone(), self.login, self.wakeups(), caller.clone());
        async move {
            loop {
                tokio::select! {
                    wakeup = heard.next() => if !wakeup.concerns(&[Signal::Account]) { continue },
                    () = tokio::time::sleep(ASKED_AGAIN_AFTER) => {}
                }
                // While the database is away nobody can be turned out, and nothing is read from it.
                if matches!(service.is_let_in(policy, &caller).await, Ok(false)) {
                    return;
                }
            }
        }
    }
}
