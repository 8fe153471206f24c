//! The way to the server: one connection, made when it is needed, and again when it broke.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind};

use super::reply::{Reply, said};
use super::script::Call;
use crate::store::{StoreError, StoreErrorKind};

const ANSWER: Duration = Duration::from_millis(200);
const RETRIES: usize = 1;
const MIN_DELAY: Duration = Duration::from_millis(10);
const MAX_DELAY: Duration = Duration::from_millis(200);
/// After this long without an acknowledgement the system gives a connection up. Without it a black hole lasts minutes.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(1);

pub(super) struct Link {
    /// As it was configured; a cluster may send us elsewhere.
    seed: ConnectionInfo,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    manager: Option<ConnectionManager>,
    /// The node of a cluster that holds our slot.
    moved: Option<(String, u16)>,
}

impl Link {
    pub(super) fn to(url: &str) -> Result<Self, StoreError> {
        let config = |what: String| StoreError::new(StoreErrorKind::Config, what);
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "redis" | "rediss" | "valkey" | "valkeys") {
            return Err(config(
                "the URL names no server; allowed: redis://HOST:PORT/DB, rediss://HOST:PORT/DB".to_owned(),
            ));
        }
        if matches!(scheme, "rediss" | "valkeys") && !cfg!(feature = "redis-tls") {
            return Err(config(
                "rediss: needs the feature `redis-tls` of cooldown-layer".to_owned(),
            ));
        }
        let seed = url
            .into_connection_info()
            .map_err(|error| config(format!("the URL names no server: {error}")))?;
        let settings = seed.tcp_settings().clone().set_nodelay(true);
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        let settings = settings.set_user_timeout(UNACKNOWLEDGED);
        Ok(Self {
            seed: seed.set_tcp_settings(settings),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn manager(&self) -> Result<ConnectionManager, RedisError> {
        let mut state = self.state();
        if let Some(manager) = &state.manager {
            return Ok(manager.clone());
        }
        let mut info = self.seed.clone();
        if let Some((host, port)) = state.moved.clone() {
            let address = match info.addr() {
                ConnectionAddr::TcpTls {
                    insecure, tls_params, ..
                } => ConnectionAddr::TcpTls {
                    host,
                    port,
                    insecure: *insecure,
                    tls_params: tls_params.clone(),
                },
                _ => ConnectionAddr::Tcp(host, port),
            };
            info = info.set_addr(address);
        }
        #[cfg(feature = "redis-tls")]
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // A program with two providers has to choose one; where it has not, this one is as good as the other. That
            // somebody was faster is no harm.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWER))
            .set_connection_timeout(Some(ANSWER))
            .set_number_of_retries(RETRIES)
            .set_min_delay(MIN_DELAY)
            .set_max_delay(MAX_DELAY);
        let manager = ConnectionManager::new_lazy_with_config(Client::open(info)?, config)?;
        state.manager = Some(manager.clone());
        Ok(manager)
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let sent = match self.manager() {
            Ok(mut manager) => manager
                .send_packed_command(&redis::cmd("PING"))
                .await
                .and_then(redis::Value::extract_error)
                .map(drop),
            Err(error) => Err(error),
        };
        sent.map_err(|error| {
            self.heed(&error);
            said(&error)
        })
    }

    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Reply, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.send(call).await {
                Ok(reply) => return Ok(reply),
                // The script knows the decision again, so what may have been done can be sent once more.
                Err(error) if self.heed(&error) && tries < 3 => {}
                Err(error) => return Err(said(&error)),
            }
        }
    }

    async fn send(&self, call: &Call<'_>) -> Result<Reply, RedisError> {
        let mut manager = self.manager()?;
        // What the server itself refuses comes as a value.
        let sent = manager
            .send_packed_command(&call.by_hash())
            .await
            .and_then(redis::Value::extract_error);
        match sent {
            // The server was restarted, or somebody flushed its scripts: this brings the text along.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => manager
                .send_packed_command(&call.by_text())
                .await
                .and_then(redis::Value::extract_error)
                .map(Reply),
            other => other.map(Reply),
        }
    }

    /// Draws the consequence of an error; says whether the call should be sent again.
    fn heed(&self, error: &RedisError) -> bool {
        let mut state = self.state();
        if let (ErrorKind::Server(ServerErrorKind::Moved), Some((address, _))) = (error.kind(), error.redirect_node()) {
            let Some((host, port)) = address.rsplit_once(':') else {
                return false;
            };
            let Ok(port) = port.parse() else { return false };
            state.moved = Some((host.trim_matches(['[', ']']).to_owned(), port));
            state.manager = None;
            return true;
        }
        if error.kind() == ErrorKind::Io {
            // The manager connects anew by itself. But a node of a cluster that is gone may have been replaced.
            if state.moved.take().is_some() {
                state.manager = None;
            }
            return error.is_connection_dropped() && !error.is_timeout();
        }
        if !super::reply::is_of_a_script(error) {
            // Refused while connecting (a wrong password, a server that is still loading): the manager would remember
            // that answer for ever.
            state.manager = None;
        }
        false
    }
}
