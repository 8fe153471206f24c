//! The contract, kept by the Redis store on a real server.

#[path = "support/server.rs"]
mod server;
mod support;

use std::sync::{Arc, OnceLock};

use cooldown_layer::store::Store;
use cooldown_layer::{DecisionId, ManualWall, RedisStore};
use server::Server;
use support::SECOND;

/// One server for the tests of this file: each has a prefix of its own.
fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]))
}

fn make(clock: ManualWall) -> (Arc<dyn Store>, ()) {
    let builder = RedisStore::builder(shared().url()).prefix(DecisionId::new().to_string());
    (
        Arc::new(builder.deadline(10 * SECOND).clock(clock).build().expect("valid")),
        (),
    )
}

stores!(make);
