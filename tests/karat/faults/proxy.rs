//! A network between processes and their database that can be cut and slowed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards TCP connections on loopback to a PostgreSQL socket.
pub struct Proxy {
    address: SocketAddr,
    /// Grows with every cut: connections of an earlier generation end.
    generation: Arc<watch::Sender<u64>>,
    /// While true nothing passes, in either direction, and nothing ends.
    stalled: Arc<watch::Sender<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of loopback.
    pub async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let generation = Arc::new(watch::Sender::new(0));
        let stalled = Arc::new(watch::Sender::new(false));
        let task = tokio::spawn(accept(listener, socket, generation.clone(), stalled.clone()));
        Self { address, generation, stalled, task }
    }

    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends every connection there is, in the middle of whatever it carries.
    pub fn cut(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Lets nothing pass for a while.
    pub async fn stall(&self, duration: Duration) {
        self.stalled.send_replace(true);
        tokio::time::sleep(duration).await;
        self.stalled.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    socket: PathBuf,
    generation: Arc<watch::Sender<u64>>,
    stalled: Arc<watch::Sender<bool>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let mut cuts = generation.subscribe();
                let (socket, stalled) = (socket.clone(), stalled.subscribe());
                connections.spawn(async move {
                    tokio::select! {
                        _ = cuts.changed() => {}
                        () = forward(client, socket, stalled) => {}
                    }
                });
            }
        }
    }
}

async fn forward(client: TcpStream, socket: PathBuf, stalled: watch::Receiver<bool>) {
    // A server that is not there refuses the client too.
    let Ok(server) = UnixStream::connect(socket).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    tokio::select! {
        () = pump(client_in, server_out, stalled.clone()) => {}
        () = pump(server_in, client_out, stalled) => {}
    }
}

async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut stalled: watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if stalled.wait_for(|stalled| !*stalled).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
