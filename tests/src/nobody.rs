//! An address at which nobody listens.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// Connections to it are refused. It is taken, so that nobody else begins to listen there while this is kept.
pub struct Nobody {
    _taken: TcpSocket,
    /// The address, on the loopback interface.
    pub address: SocketAddr,
}

impl Nobody {
    /// Takes a free port.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn here() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind((Ipv4Addr::LOCALHOST, 0).into())
            .expect("a free loopback port");
        let address = socket.local_addr().expect("a bound address");
        Self {
            _taken: socket,
            address,
        }
    }
}
