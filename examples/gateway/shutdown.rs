//! The end: on Ctrl-C (or SIGTERM) nobody new is let in, and those who are in may finish, within a bound.

use std::future::{Future, IntoFuture};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal as on};
use tokio::sync::oneshot;

use crate::say;

/// Resolves with the first Ctrl-C or SIGTERM. The handlers are in place when this returns.
pub(crate) fn signal() -> io::Result<impl Future<Output = &'static str> + Send + 'static> {
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

/// Serves until the signal, then drains for at most `bound`; a second Ctrl-C ends the draining.
pub(crate) async fn serve(
    listener: TcpListener,
    app: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    stop: impl Future<Output = &'static str> + Send + 'static,
    bound: Duration,
) -> io::Result<()> {
    // Each event of a stream goes out when it comes, and does not wait for the next.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let (begin, begun) = oneshot::channel::<()>();
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(async move { drop(begun.await) })
        .into_future();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        name = stop => say(&format!("{name}: draining, for at most {bound:?}; once more to stop at once")),
    }
    let again = signal()?;
    drop(begin);
    tokio::select! {
        ended = &mut server => {
            say("all calls have ended");
            ended
        }
        () = tokio::time::sleep(bound) => {
            say(&format!("{bound:?} are over: the calls that are left are cut off"));
            Ok(())
        }
        _ = again => Ok(()),
    }
}
