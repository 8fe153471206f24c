//! The strategies by the names that a configuration gives them.

use std::str::FromStr;

use fusebox::pool;
use fusebox::prelude::{Availability, InOrder, LeastInFlight, LeastLatency, PeakEwmaP2c, RoundRobin, Weighted};

/// Which of the providers that may be asked is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// The primary, and the others only without it.
    #[default]
    InOrder,
    LeastLatency,
    RoundRobin,
    Weighted,
    Availability,
    PeakEwmaP2c,
    LeastInFlight,
}

impl Strategy {
    pub(crate) const ALL: [Self; 7] = [
        Self::InOrder,
        Self::LeastLatency,
        Self::RoundRobin,
        Self::Weighted,
        Self::Availability,
        Self::PeakEwmaP2c,
        Self::LeastInFlight,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InOrder => "in_order",
            Self::LeastLatency => "least_latency",
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::Availability => "availability",
            Self::PeakEwmaP2c => "peak_ewma_p2c",
            Self::LeastInFlight => "least_in_flight",
        }
    }

    /// All names, as an error or a help text shows them.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// The pool's.
    pub(crate) fn made(self) -> Box<dyn pool::Strategy> {
        match self {
            Self::InOrder => Box::new(InOrder),
            Self::LeastLatency => Box::new(LeastLatency::default()),
            Self::RoundRobin => Box::new(RoundRobin::default()),
            Self::Weighted => Box::new(Weighted::default()),
            Self::Availability => Box::new(Availability::default()),
            Self::PeakEwmaP2c => Box::new(PeakEwmaP2c),
            Self::LeastInFlight => Box::new(LeastInFlight::default()),
        }
    }
}

impl FromStr for Strategy {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.as_str() == name)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strategy_goes_by_the_name_that_the_pool_gives_it() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.as_str().parse(), Ok(strategy));
            assert_eq!(strategy.made().name(), strategy.as_str());
        }
    }
}
