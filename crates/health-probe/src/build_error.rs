//! What is wrong with a probe that could not be started.

use std::error::Error;
use std::fmt;

/// A probe could not be started: which probe, which field, its value, and what is allowed.
///
/// ```
/// use std::time::Duration;
/// use health_probe::{FnProbe, Probe};
///
/// let error = FnProbe::new("queue", async || Ok::<_, std::io::Error>(()))
///     .every(Duration::ZERO)
///     .spawn()
///     .unwrap_err();
/// assert_eq!(error.to_string(), r#"probe "queue": every = 0ns is not allowed; set it to 1 ms to 365 days"#);
/// assert_eq!(error.field(), "every");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    probe: String,
    field: &'static str,
    value: String,
    allowed: String,
}

impl BuildError {
    /// For [`Probe::validate`](crate::Probe::validate) of a probe of your own; the name of the probe is added later.
    ///
    /// ```
    /// let error = health_probe::BuildError::new("port", 0, "set it to 1 to 65535");
    /// assert_eq!((error.field(), error.value(), error.allowed()), ("port", "0", "set it to 1 to 65535"));
    /// ```
    pub fn new(field: &'static str, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self {
            probe: String::new(),
            field,
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }

    pub(crate) fn of(mut self, probe: &str) -> Self {
        probe.clone_into(&mut self.probe);
        self
    }

    /// The name of the probe.
    pub fn probe(&self) -> &str {
        &self.probe
    }

    /// The field that is wrong: the name of the builder's function.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value it has.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is allowed, without the name of the probe.
    pub fn allowed(&self) -> &str {
        &self.allowed
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            probe,
            field,
            value,
            allowed,
        } = self;
        write!(f, "probe {probe:?}: {field} = {value} is not allowed; {allowed}")
    }
}

impl Error for BuildError {}
