//! http-outcome
