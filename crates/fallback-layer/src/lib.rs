//! fallback-layer
