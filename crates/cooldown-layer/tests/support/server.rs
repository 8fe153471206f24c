//! A Redis server of the test's own.
#![allow(dead_code, unreachable_pub)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpSocket;

use super::support::Folder;

/// A free loopback port, kept from all but one server, also while that one is away.
pub struct Port {
    pub number: u16,
    /// Bound, but not listening: on Linux a server may bind beside it, as both allow it, and nobody who wants just any port
    /// is given this one.
    _kept: Option<TcpSocket>,
}

impl Port {
    pub fn free() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option that is known");
        socket
            .bind("127.0.0.1:0".parse().expect("an address"))
            .expect("a free port");
        let number = socket.local_addr().expect("bound").port();
        Self {
            number,
            _kept: cfg!(target_os = "linux").then_some(socket),
        }
    }
}

pub struct Server {
    child: Option<Child>,
    pub port: u16,
    _port: Port,
    args: Vec<String>,
    folder: Folder,
}

impl Server {
    /// Starts `redis-server` on a free loopback port and waits until it answers.
    pub fn start(args: &[&str]) -> Self {
        let port = Port::free();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut server = Self {
            child: None,
            port: port.number,
            _port: port,
            args,
            folder: Folder::new(),
        };
        server.restart();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again on the same port and folder.
    pub fn restart(&mut self) {
        self.kill();
        let spawned = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
            ])
            .arg(&self.folder.0)
            .args(&self.args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = spawned.unwrap_or_else(|error| {
            panic!("redis-server cannot be started ({error}): install the package redis-server (apt-get install redis-server)")
        });
        self.child = Some(child);
        for _ in 0..200 {
            if self
                .cli(&["PING"])
                .is_some_and(|answer| answer.contains("PONG") || answer.contains("NOAUTH"))
            {
                return;
            }
            pause(Duration::from_millis(20));
        }
        panic!("redis-server on port {} does not answer", self.port);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .expect("kill")
                .success()
        );
    }

    /// What `redis-cli` answers.
    pub fn cli(&self, args: &[&str]) -> Option<String> {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(args)
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// How often the server has been sent a command.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.cli(&["INFO", "commandstats"]).expect("redis-cli");
        let line = stats.lines().find_map(|line| {
            line.strip_prefix(&format!("cmdstat_{command}:calls="))
                .map(str::to_owned)
        });
        line.map_or(0, |line| {
            line.split(',').next().expect("a number").parse().expect("a number")
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a process of the system, which no paused clock can hurry.
pub fn pause(time: Duration) {
    let (_keep, nothing) = std::sync::mpsc::channel::<()>();
    let _ = nothing.recv_timeout(time);
}
