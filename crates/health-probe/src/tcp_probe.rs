//! Whether somebody listens.

use tokio::net::TcpStream;

use crate::build_error::BuildError;
use crate::check_error::CheckError;
use crate::probe::Probe;

/// Opens a TCP connection, and closes it.
///
/// Up means that the connection was made: by the kernel, which does not ask the program behind the port. A program that
/// hangs, or closes each connection at once, counts as up; ask it by HTTP or gRPC if you can.
///
/// ```
/// use health_probe::{HealthState, Probe, TcpProbe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let address = server.local_addr()?.to_string();
///
/// let postgres = TcpProbe::connect(address).spawn()?;
/// assert_eq!(postgres.check_now().await?.state, HealthState::Up);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct TcpProbe {
    address: String,
}

impl TcpProbe {
    /// Of `host:port`. A name is looked up for each check, and its addresses are tried in turn.
    pub fn connect(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
        }
    }
}

impl Probe for TcpProbe {
    async fn check(&self) -> Result<(), CheckError> {
        let connected = TcpStream::connect(&self.address).await;
        connected.map(drop).map_err(CheckError::new)
    }

    fn target(&self) -> String {
        format!("tcp://{}", self.address)
    }

    fn validate(&self) -> Result<(), BuildError> {
        let parts = self.address.rsplit_once(':');
        let host = parts.map_or("", |(host, _)| host);
        let port = parts.and_then(|(_, port)| port.parse::<u16>().ok());
        // An IPv6 address needs its brackets; without them its last group would be the port.
        let is_host = !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
        if is_host && port.is_some_and(|port| port > 0) && !host.contains(['/', '@', ' ']) {
            return Ok(());
        }
        let allowed = "set it to host:port, such as 10.0.0.7:5432 or [::1]:5432, with a port from 1 to 65535";
        Err(BuildError::new("address", format!("{:?}", self.address), allowed))
    }
}
