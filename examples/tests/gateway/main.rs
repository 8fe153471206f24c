//! The gateway as a process of its own, over real sockets.

mod config;
mod harness;
mod pool;
mod story;
