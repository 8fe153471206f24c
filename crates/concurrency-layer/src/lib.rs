//! concurrency-layer
