//! The circuits that are observed, by name, and what is added up for each name.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use state_core::{Circuit, State, Totals, Transition};

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    ledgers: BTreeMap::new(),
});

/// Locked when a layer is made, at transitions and at scrapes; never on the path of a call.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) ledgers: BTreeMap<&'static str, Ledger>,
}

/// What is kept of all circuits of one name.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Those that live, with their totals as they were last seen.
    circuits: Vec<(Circuit, Totals)>,
    /// What those that live no more have counted, so that a sum never falls.
    retired: Totals,
    /// How often they went from one state to another, and why.
    pub(crate) transitions: BTreeMap<[&'static str; 3], u64>,
}

impl Registry {
    pub(crate) fn locked() -> MutexGuard<'static, Self> {
        // Whatever panicked left numbers, and numbers can't be half written.
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the circuit was not known before.
    pub(crate) fn add(&mut self, circuit: Circuit) -> bool {
        let circuits = &mut self.ledgers.entry(circuit.name()).or_default().circuits;
        let new = circuits.iter().all(|(known, _)| *known != circuit);
        if new {
            circuits.push((circuit, Totals::default()));
        }
        new
    }

    pub(crate) fn transition(&mut self, transition: &Transition) -> &mut Ledger {
        let ledger = self.ledgers.entry(transition.circuit.name()).or_default();
        let labels = [
            transition.from.as_str(),
            transition.to.as_str(),
            transition.reason.as_str(),
        ];
        *ledger.transitions.entry(labels).or_default() += 1;
        ledger
    }
}

impl Ledger {
    /// The sum of all totals, looked up now. `None` when no circuit keeps any.
    pub(crate) fn totals(&mut self) -> Option<Totals> {
        let mut sum = Totals::default();
        let mut kept = self.retired != Totals::default();
        let retired = &mut self.retired;
        self.circuits.retain_mut(|(circuit, seen)| {
            if let Some(totals) = circuit.totals() {
                kept = true;
                // A slot that has gone to another circuit starts from zero: what was seen stays.
                combine(seen, &totals, u64::max);
            }
            let lives = circuit.state() != State::Retired;
            combine(if lives { &mut sum } else { retired }, seen, u64::saturating_add);
            lives
        });
        combine(&mut sum, retired, u64::saturating_add);
        kept.then_some(sum)
    }

    /// The one state to show: that of the circuit that lets least through.
    pub(crate) fn state(&self) -> State {
        let states = self.circuits.iter().map(|(circuit, _)| circuit.state());
        states.max_by_key(|state| strictness(*state)).unwrap_or(State::Retired)
    }
}

const fn strictness(state: State) -> u8 {
    match state {
        State::Retired => 0,
        State::Disabled => 1,
        State::MetricsOnly => 2,
        State::Closed => 3,
        State::HalfOpen => 4,
        State::Open => 5,
        State::ForcedOpen => 6,
        // What may come to be is not hidden behind what is known.
        _ => 7,
    }
}

fn combine(into: &mut Totals, other: &Totals, with: impl Fn(u64, u64) -> u64) {
    into.successes = with(into.successes, other.successes);
    into.failures = with(into.failures, other.failures);
    into.slow = with(into.slow, other.slow);
    into.neutral = with(into.neutral, other.neutral);
    into.cancelled = with(into.cancelled, other.cancelled);
    into.refused = with(into.refused, other.refused);
    into.late = with(into.late, other.late);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuit_is_known_once_and_the_strictest_state_is_shown() {
        let mut registry = Registry::default();
        let [a, b] = [(); 2].map(|()| Circuit::builder("registry").build().unwrap());
        assert!(registry.add(a) && registry.add(b) && !registry.add(a));
        let ledger = registry.ledgers.get_mut("registry").unwrap();
        assert_eq!(ledger.state(), State::Closed);
        a.disable();
        assert_eq!(ledger.state(), State::Closed);
        b.force_open();
        assert_eq!(ledger.state(), State::ForcedOpen);
    }

    #[test]
    fn totals_of_a_name_are_added_up_and_never_fall() {
        let mut registry = Registry::default();
        let [a, b] = [(); 2].map(|()| Circuit::builder("sums").build().unwrap());
        registry.add(a);
        registry.add(b);
        for circuit in [a, a, b] {
            circuit.acquire().unwrap().success();
        }
        let ledger = registry.ledgers.get_mut("sums").unwrap();
        assert_eq!(ledger.totals().unwrap().successes, 3);
        a.retire();
        assert_eq!(ledger.totals().unwrap().successes, 3);
        // The slot goes to the next of the kind.
        let c = Circuit::builder("sums").build().unwrap();
        c.acquire().unwrap().success();
        assert_eq!(ledger.totals().unwrap().successes, 3);
        b.retire();
        assert_eq!(ledger.totals().unwrap().successes, 3);
        assert_eq!(ledger.state(), State::Retired);
    }
}
