//! What a probe's word does to circuits.

use state_core::{Circuit, ProbeLink, State};

use crate::state::HealthState;

/// A circuit that follows a probe.
#[derive(Debug)]
pub(crate) struct Driven {
    circuit: Circuit,
    link: ProbeLink,
}

impl Driven {
    pub(crate) fn new(circuit: Circuit) -> Self {
        Self {
            circuit,
            link: circuit.probe_link(),
        }
    }

    /// The state has changed.
    pub(crate) fn changed(&self, to: HealthState) {
        match to {
            HealthState::Up => self.link.report(true),
            HealthState::Down => self.link.report(false),
            HealthState::Unknown => {}
        }
    }

    /// A check has passed, and the state is up as before.
    ///
    /// A circuit that waits for a probe (`open_until_probe`) may have been opened by calls meanwhile. The probe never
    /// said down, so it has nothing to take back, and the circuit would stay open for ever: say down and up. Where another
    /// probe holds it, that changes nothing.
    pub(crate) fn still_up(&self) {
        if self.circuit.state() == State::Open && self.circuit.snapshot().next_try.is_none() {
            self.link.report(false);
            self.link.report(true);
        }
    }
}
