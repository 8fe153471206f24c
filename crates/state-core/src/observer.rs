//! Those who are told of every transition.

use alloc::boxed::Box;
use core::time::Duration;

use crate::circuit::Circuit;
use crate::state::{Reason, State};

/// Is told of every event of a circuit, in order.
///
/// Observers run on a thread of their own, away from the calls: a slow observer delays no call (but the observers after
/// it), one that panics is caught and counted ([`Snapshot::observer_panics`](crate::Snapshot::observer_panics)). Up to 65,536 events wait for slow
/// observers; beyond, events are lost and counted ([`lost_events`](crate::lost_events)). Without the feature `std` there is no such thread: call
/// `deliver_events` now and then.
///
/// Every `Fn(&Event)` is one.
///
/// ```
/// use std::sync::mpsc;
/// use state_core::{Circuit, Event, State};
///
/// let (tell, told) = mpsc::channel();
/// let circuit = Circuit::builder("doc").observer(move |event: &Event| drop(tell.send(*event))).build()?;
/// circuit.force_open();
/// let Event::Transition(transition) = told.recv()? else { panic!("force_open is a transition") };
/// assert_eq!((transition.from, transition.to), (State::Closed, State::ForcedOpen));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn on_event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// What an [`Observer`] is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The circuit changed its state.
    Transition(Transition),
    /// The circuit is in `MetricsOnly`, and a rule would have tripped it. Sent once a generation.
    WouldTrip(WouldTrip),
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The circuit.
    pub circuit: Circuit,
    /// The state it was in.
    pub from: State,
    /// The state it is in.
    pub to: State,
    /// Why.
    pub reason: Reason,
    /// The generation that began, modulo 2^22.
    pub generation: u64,
    /// When, on the circuit's clock, since the first circuit of this name and policy was built.
    pub at: Duration,
}

/// A rule that would have tripped a circuit in `MetricsOnly`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WouldTrip {
    /// The circuit.
    pub circuit: Circuit,
    /// The rule.
    pub rule: Reason,
    /// The generation it is in, modulo 2^22.
    pub generation: u64,
    /// When, as in [`Transition::at`].
    pub at: Duration,
}

impl Event {
    /// The circuit it is about.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        match self {
            Self::Transition(event) => event.circuit,
            Self::WouldTrip(event) => event.circuit,
        }
    }

    /// The generation that began, or that the circuit is in.
    #[cfg(not(fusebox_loom))]
    pub(crate) fn generation(&self) -> u64 {
        match self {
            Self::Transition(event) => event.generation,
            Self::WouldTrip(event) => event.generation,
        }
    }
}

impl Circuit {
    /// Tells `observer` of every event from now on.
    ///
    /// ```
    /// use state_core::{Circuit, Event};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// circuit.observe(|event: &Event| println!("{event:?}"));
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    pub fn observe(&self, observer: impl Observer) {
        add(*self, Box::new(observer));
    }
}

#[cfg(not(fusebox_loom))]
pub(crate) use crate::dispatch::add;

#[cfg(not(fusebox_loom))]
pub(crate) fn post(transition: Transition) {
    crate::dispatch::post(Event::Transition(transition));
}

#[cfg(not(fusebox_loom))]
pub(crate) fn post_would_trip(would_trip: WouldTrip) {
    crate::dispatch::post(Event::WouldTrip(would_trip));
}

#[cfg(fusebox_loom)]
pub(crate) fn add(_: Circuit, _: Box<dyn Observer>) {}
#[cfg(fusebox_loom)]
pub(crate) fn post(_: Transition) {}
#[cfg(fusebox_loom)]
pub(crate) fn post_would_trip(_: WouldTrip) {}
