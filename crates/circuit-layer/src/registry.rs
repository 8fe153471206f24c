//! The circuits that are observed, by name.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use state_core::{Circuit, State};

#[cfg(feature = "metrics")]
use crate::ledger::Ledger;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { names: BTreeMap::new() });

/// Locked when a layer is made, at transitions and at scrapes; never on the path of a call.
pub(crate) struct Registry {
    pub(crate) names: BTreeMap<&'static str, Named>,
}

/// All circuits of one name.
#[derive(Default)]
pub(crate) struct Named {
    pub(crate) circuits: Vec<Circuit>,
    /// What they have come to.
    #[cfg(feature = "metrics")]
    pub(crate) ledger: Ledger,
}

impl Registry {
    pub(crate) fn locked() -> MutexGuard<'static, Self> {
        // Whatever panicked left lists and numbers that are whole.
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the circuit was not known before.
    pub(crate) fn add(&mut self, circuit: Circuit) -> bool {
        let named = self.names.entry(circuit.name()).or_default();
        let new = !named.circuits.contains(&circuit);
        if new {
            named.sweep();
            named.circuits.push(circuit);
        }
        new
    }
}

impl Named {
    /// Forgets those that live no more.
    pub(crate) fn sweep(&mut self) {
        #[cfg(feature = "metrics")]
        self.ledger.refresh(&self.circuits);
        self.circuits.retain(|circuit| circuit.state() != State::Retired);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuit_is_known_once_and_until_it_retires() {
        let mut registry = Registry { names: BTreeMap::new() };
        let [a, b, c] = [(); 3].map(|()| Circuit::builder("registry").build().unwrap());
        assert!(registry.add(a) && registry.add(b) && !registry.add(a));
        a.retire();
        assert!(registry.add(c));
        assert_eq!(registry.names["registry"].circuits, [b, c]);
    }
}
