//! The contract, kept by the memory store.

mod support;

use std::sync::Arc;

use cooldown_layer::store::Store;
use cooldown_layer::{ManualWall, MemoryStore};

fn make(clock: ManualWall) -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::with_clock(clock)), ())
}

stores!(make);
