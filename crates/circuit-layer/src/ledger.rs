//! What all circuits of one name have come to.

use std::collections::BTreeMap;

use state_core::{Circuit, State, Totals, Transition};

#[derive(Default)]
pub(crate) struct Ledger {
    /// The totals of those that live, as they were last seen.
    seen: Vec<(Circuit, Totals)>,
    /// What those that live no more have counted, so that a sum never falls.
    retired: Totals,
    /// Whether any of them has ever kept totals.
    kept: bool,
    /// How often they went from one state to another, and why.
    pub(crate) transitions: BTreeMap<[&'static str; 3], u64>,
}

impl Ledger {
    pub(crate) fn count(&mut self, transition: &Transition) {
        let labels = [
            transition.from.as_str(),
            transition.to.as_str(),
            transition.reason.as_str(),
        ];
        *self.transitions.entry(labels).or_default() += 1;
    }

    /// Looks at the totals of `circuits`, which are all that live and those that have retired since the last time.
    pub(crate) fn refresh(&mut self, circuits: &[Circuit]) {
        for circuit in circuits {
            let Some(totals) = circuit.totals() else { continue };
            self.kept = true;
            match self.seen.iter_mut().find(|(known, _)| known == circuit) {
                // A slot that goes to another circuit at this moment is wiped: what was seen stays.
                Some((_, seen)) => combine(seen, &totals, u64::max),
                None => self.seen.push((*circuit, totals)),
            }
        }
        let retired = &mut self.retired;
        self.seen.retain(|(circuit, seen)| {
            let lives = circuit.state() != State::Retired;
            if !lives {
                combine(retired, seen, u64::saturating_add);
            }
            lives
        });
    }

    /// The sum as of the last look. `None` when no circuit keeps totals.
    pub(crate) fn totals(&self) -> Option<Totals> {
        let mut sum = self.retired;
        for (_, seen) in &self.seen {
            combine(&mut sum, seen, u64::saturating_add);
        }
        self.kept.then_some(sum)
    }
}

/// The one state to show: that of the circuit that lets least through.
pub(crate) fn strictest(circuits: &[Circuit]) -> State {
    let states = circuits.iter().map(Circuit::state);
    states.max_by_key(|state| strictness(*state)).unwrap_or(State::Retired)
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

    fn two() -> [Circuit; 2] {
        [(); 2].map(|()| Circuit::builder("ledger").build().unwrap())
    }

    #[test]
    fn the_strictest_state_is_shown() {
        let [a, b] = two();
        assert_eq!(strictest(&[]), State::Retired);
        assert_eq!(strictest(&[a, b]), State::Closed);
        a.disable();
        assert_eq!(strictest(&[a, b]), State::Closed);
        b.force_open();
        assert_eq!(strictest(&[a, b]), State::ForcedOpen);
    }

    #[test]
    fn totals_of_a_name_are_added_up_and_never_fall() {
        let [a, b] = two();
        let mut ledger = Ledger::default();
        let mut successes = |circuits: &[Circuit]| {
            ledger.refresh(circuits);
            ledger.totals().unwrap().successes
        };
        for circuit in [a, a, b] {
            circuit.acquire().unwrap().success();
        }
        assert_eq!(successes(&[a, b]), 3);
        a.retire();
        assert_eq!(successes(&[a, b]), 3);
        // The slot goes to the next of the kind.
        let c = Circuit::builder("ledger").build().unwrap();
        c.acquire().unwrap().success();
        assert_eq!(successes(&[b, c]), 4);
        c.retire();
        assert_eq!(successes(&[b, c]), 4);
        assert_eq!(successes(&[b]), 4);
    }
}
