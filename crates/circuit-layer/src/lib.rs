//! circuit-layer
