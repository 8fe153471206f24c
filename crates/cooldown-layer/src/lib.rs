//! cooldown-layer
