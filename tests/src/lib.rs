//! What the tests over real sockets share: servers that misbehave on demand.

pub mod flaky;
pub mod nobody;
pub mod serve;
