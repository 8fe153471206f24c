//! The server of one built-in provider: it closes its port while its fault is to refuse connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Fault;

/// How long calls under way may take to end once the port is closed.
const LAST_CALLS: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);

/// A free port with a listener, which can be closed and opened again.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    listener: TcpListener,
    /// Bound, but not listening: on Linux another may bind beside it, as both allow it, and nobody who wants just any port
    /// is given this one. So the port stays this provider's while connections are refused.
    kept: Option<TcpSocket>,
}

impl Port {
    pub(super) async fn bind() -> io::Result<Self> {
        let free = (Ipv4Addr::LOCALHOST, 0).into();
        if !cfg!(target_os = "linux") {
            let listener = TcpListener::bind(free).await?;
            let address = listener.local_addr()?;
            return Ok(Self {
                address,
                listener,
                kept: None,
            });
        }
        let kept = TcpSocket::new_v4()?;
        kept.set_reuseaddr(true)?;
        kept.bind(free)?;
        let address = kept.local_addr()?;
        Ok(Self {
            address,
            listener: TcpListener::bind(address).await?,
            kept: Some(kept),
        })
    }
}

/// Serves until its task is aborted. `listening` says whether the port is open now.
pub(super) async fn serve(port: Port, app: Router, mut fault: watch::Receiver<Fault>, listening: watch::Sender<bool>) {
    let Port {
        address,
        mut listener,
        kept: _kept,
    } = port;
    loop {
        listening.send_replace(true);
        accept(listener, &app, &mut fault, &listening).await;
        if fault.wait_for(|fault| *fault != Fault::Refuse).await.is_err() {
            return;
        }
        listener = bind_again(address).await;
    }
}

/// Accepts until connections are to be refused; then ends the open ones.
async fn accept(
    listener: TcpListener,
    app: &Router,
    fault: &mut watch::Receiver<Fault>,
    listening: &watch::Sender<bool>,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = becomes(fault, Fault::Refuse) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    drop(stream.set_nodelay(true));
                    let service = TowerToHyperService::new(app.clone());
                    let builder = Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                    let connection = graceful.watch(connection);
                    // A connection that breaks is what this provider is for.
                    connections.spawn(async move { drop(connection.await) });
                }
                // Out of file descriptors, most likely: the ones in use come back.
                Err(_) => sleep(PAUSE).await,
            },
        }
    }
    drop(listener);
    let _ = timeout(LAST_CALLS, graceful.shutdown()).await;
    connections.shutdown().await;
    listening.send_replace(false);
}

async fn becomes(fault: &mut watch::Receiver<Fault>, wanted: Fault) {
    drop(fault.wait_for(|fault| *fault == wanted).await);
}

/// Takes the same port again; waits for as long as somebody else has it.
async fn bind_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%address, %error, "a built-in provider cannot listen again yet");
                sleep(PAUSE * 10).await;
            }
        }
    }
}
