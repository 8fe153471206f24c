//! A probe that does what the test says.
#![allow(dead_code, unreachable_pub)]

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use health_probe::{CheckError, Probe};
#[cfg(any(feature = "http", feature = "grpc", feature = "tcp"))]
use tokio::net::TcpSocket;

#[derive(Default)]
struct Inner {
    passes: AtomicBool,
    takes_ms: AtomicU64,
    checks: AtomicU32,
    running: AtomicU32,
    most: AtomicU32,
    probes: Mutex<Weak<()>>,
}

#[derive(Clone)]
pub struct Script(Arc<Inner>);

pub struct Scripted(Script, #[allow(dead_code)] Arc<()>);

struct Running<'a>(&'a AtomicU32);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Script {
    pub fn new(passes: bool) -> Self {
        let script = Self(Arc::default());
        script.pass(passes);
        script
    }

    pub fn probe(&self) -> Scripted {
        let alive = Arc::new(());
        *self.0.probes.lock().unwrap() = Arc::downgrade(&alive);
        Scripted(self.clone(), alive)
    }

    pub fn pass(&self, passes: bool) {
        self.0.passes.store(passes, SeqCst);
    }

    pub fn take(&self, time: Duration) {
        self.0.takes_ms.store(time.as_millis().try_into().unwrap(), SeqCst);
    }

    pub fn checks(&self) -> u32 {
        self.0.checks.load(SeqCst)
    }

    pub fn running(&self) -> u32 {
        self.0.running.load(SeqCst)
    }

    pub fn most_at_once(&self) -> u32 {
        self.0.most.load(SeqCst)
    }

    /// Whether the last probe made of this still exists.
    pub fn is_alive(&self) -> bool {
        self.0.probes.lock().unwrap().strong_count() > 0
    }

    pub async fn check(&self) -> Result<(), CheckError> {
        let inner = &*self.0;
        inner.checks.fetch_add(1, SeqCst);
        inner.most.fetch_max(inner.running.fetch_add(1, SeqCst) + 1, SeqCst);
        let _running = Running(&inner.running);
        let time = Duration::from_millis(inner.takes_ms.load(SeqCst));
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        if inner.passes.load(SeqCst) {
            Ok(())
        } else {
            Err(CheckError::new("scripted"))
        }
    }
}

impl Probe for Scripted {
    async fn check(&self) -> Result<(), CheckError> {
        self.0.check().await
    }

    fn target(&self) -> String {
        "script".to_owned()
    }
}

/// What was logged.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An address that refuses connections while the socket is kept: it is taken, and nobody listens.
#[cfg(any(feature = "http", feature = "grpc", feature = "tcp"))]
pub fn refusing() -> (TcpSocket, std::net::SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
