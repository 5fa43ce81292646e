//! The process that answers: what of it is in no database, and how it lends itself to pages.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{LoginPolicy, LoginProvider, Retention, Service, ServiceError};
use crate::daemon::alert_channel::AlertChannel;
use crate::engine::Wakeups;
use crate::engine::measure::Measures;

/// What a process says of itself, for health and metrics.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The program's version.
    pub version: &'static str,
    /// Its worker, when it has one: ready only while that one's lease is renewed.
    pub worker_id: Option<Uuid>,
    /// Its reconcilers, by name, with the longest time between two activations; empty when this process has none.
    pub reconcilers: Vec<(&'static str, Duration)>,
    /// How long it keeps what is for people, when it removes that.
    pub retention: Option<Retention>,
    /// What its worker counts: the one in the [`WorkerSettings`](crate::engine::WorkerSettings) it was made with.
    pub measures: Measures,
    /// Its connection pools, by name.
    pub pools: Vec<(&'static str, PgPool)>,
}

/// What a server of pages needs.
pub struct PagesContext {
    /// What can be asked for.
    pub service: Service,
    /// The program's name, as it is called on the command line.
    pub program: &'static str,
    /// The process it runs in.
    pub process: Process,
    /// Who needs a login.
    pub login: LoginPolicy,
    /// Who else knows people.
    pub providers: Vec<Arc<dyn LoginProvider>>,
    /// Where alerts are sent.
    pub channels: Vec<Arc<dyn AlertChannel>>,
    /// What happens in the database, so that open pages are told at once; without it they are not.
    pub wakeups: Option<Wakeups>,
    /// Where it listens. Bound by the caller, so that an address that cannot be had is said before anything starts.
    pub listener: TcpListener,
    /// Cancelled when it should end: requests that are being answered are answered first, within a bounded time.
    pub stop: CancellationToken,
}

/// Serves pages until it is told to stop; [`web::serve`](crate::web::serve) is one. Commands know it only by this type.
///
/// # Errors
/// When the listener breaks.
pub type ServePages = fn(PagesContext) -> BoxFuture<'static, std::io::Result<()>>;

/// Where pages are found unless another address is given.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4747);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address can be reached from other machines, and nobody can log in.
    #[error(
        "{0} can be reached from other machines, and nobody has a login. Make a user with `user add NAME --role admin`, \
         take a loopback address such as {DEFAULT_ADDRESS}, or say --insecure-no-login"
    )]
    NotLoopback(SocketAddr),
    /// Somebody else listens there.
    #[error(
        "another process listens on {0} already, perhaps another `up`: end it, or give this one another port with \
         --address {next}", next = next_port(*.0)
    )]
    InUse(SocketAddr),
    /// The system refuses it.
    #[error("cannot listen on {address}: {source}. Give an address of this machine with --address")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Whether anybody can log in could not be found out.
    #[error(transparent)]
    Service(Box<ServiceError>),
}

/// Listens on `address`. Port 0 is a free port of the system's choice. Before anything is served there, ask
/// [`Service::may_listen`].
///
/// # Errors
/// [`ListenError`], a sentence that names the remedy.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::InUse(address),
        _ => ListenError::Refused { address, source },
    })
}

/// The same address with the port after it.
fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(DEFAULT_ADDRESS.port()))
}
