//! The contract, kept by the Redis store on a real server.

#[path = "support/server.rs"]
mod server;
mod support;

use std::sync::Arc;

use cooldown_layer::store::Store;
use cooldown_layer::{ManualWall, RedisStore};
use server::Server;
use support::SECOND;

fn make(clock: ManualWall) -> (Arc<dyn Store>, Server) {
    let server = Server::start(&[]);
    let builder = RedisStore::builder(server.url()).deadline(10 * SECOND).clock(clock);
    (Arc::new(builder.build().expect("valid")), server)
}

stores!(make);
