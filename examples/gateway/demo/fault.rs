//! The ways in which a built-in provider can be broken.

use std::fmt;
use std::str::FromStr;

/// What is wrong with a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Each answer is `500`.
    Errors,
    /// Each answer is `429` with a `Retry-After`.
    Throttle,
    /// Each answer is late, but comes.
    Slow,
    /// No answer comes.
    Hang,
    /// Each answer starts well and breaks off in the middle.
    BrokenStream,
    /// Nobody listens: connections are refused.
    Refuse,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::None,
        Self::Errors,
        Self::Throttle,
        Self::Slow,
        Self::Hang,
        Self::BrokenStream,
        Self::Refuse,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Errors => "errors",
            Self::Throttle => "throttle",
            Self::Slow => "slow",
            Self::Hang => "hang",
            Self::BrokenStream => "broken_stream",
            Self::Refuse => "refuse",
        }
    }

    /// All names, as an error or a help text shows them.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|fault| fault.as_str() == name.replace('-', "_"));
        found.ok_or_else(|| format!("{name:?} is no fault; choose one of {}", Self::names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_known_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
        }
        assert_eq!("broken-stream".parse(), Ok(Fault::BrokenStream));
        assert!(
            "fire"
                .parse::<Fault>()
                .unwrap_err()
                .contains("choose one of none, errors")
        );
    }
}
