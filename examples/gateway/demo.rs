//! The built-in providers: three real HTTP servers on loopback ports, with faults that can be switched while they run.

mod fault;
mod routes;
mod server;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use self::fault::Fault;

/// How long a switch may take to open or close a port.
const SWITCH: Duration = Duration::from_secs(3);

/// One provider, running for as long as this is alive.
pub(crate) struct DemoProvider {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    fault: watch::Sender<Fault>,
    listening: watch::Receiver<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl DemoProvider {
    pub(crate) async fn start(name: &'static str) -> io::Result<Self> {
        let port = server::Port::bind().await?;
        let address = port.address;
        let (fault, seen) = watch::channel(Fault::None);
        let (up, listening) = watch::channel(true);
        let app = routes::routes(routes::Provider {
            name,
            fault: fault.clone(),
        });
        let server = tokio::spawn(server::serve(port, app, seen, up));
        Ok(Self {
            name,
            address,
            fault,
            listening,
            server,
        })
    }

    pub(crate) fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    /// Switches the fault, and returns when the port is closed or open as the fault says.
    ///
    /// # Errors
    ///
    /// When the port is not so after 3 seconds: somebody else has taken it.
    pub(crate) async fn set(&self, fault: Fault) -> Result<(), String> {
        self.fault.send_replace(fault);
        let wanted = fault != Fault::Refuse;
        let mut listening = self.listening.clone();
        match timeout(SWITCH, listening.wait_for(|open| *open == wanted)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(format!(
                "{} has not {} its port",
                self.name,
                if wanted { "opened" } else { "closed" }
            )),
        }
    }
}

impl Drop for DemoProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The three providers that a gateway without configuration asks.
pub(crate) async fn start() -> io::Result<Vec<DemoProvider>> {
    let mut providers = Vec::new();
    for name in ["primary", "backup", "spare"] {
        providers.push(DemoProvider::start(name).await?);
    }
    Ok(providers)
}
