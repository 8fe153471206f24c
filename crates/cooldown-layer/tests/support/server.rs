//! A Redis server of the test's own.
#![allow(dead_code, unreachable_pub)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::Folder;

pub struct Server {
    child: Option<Child>,
    pub port: u16,
    args: Vec<String>,
    folder: Folder,
}

impl Server {
    /// Starts `redis-server` on a free loopback port and waits until it answers.
    pub fn start(args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut server = Self {
            child: None,
            port,
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
