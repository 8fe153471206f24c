//! What is seen from outside: the only file that names a metric or an event field.
//!
//! An admitted call writes nothing here, for a shared counter would cost it more than the breaker does. What calls came to
//! is read off the circuits' own totals when somebody asks. Handles of metrics are looked up each time: a handle that was
//! kept from before a recorder was installed would do nothing for ever.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use state_core::Event;
use state_core::{Circuit, Refused};

#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::registry::Registry;
#[cfg(feature = "metrics")]
pub use metered::publish_metrics;

/// Publishes metrics and events of `circuit` from now on, as those of every circuit with a layer are: for circuits that
/// are used without one. Once is enough, and more do no harm.
///
/// ```
/// let circuit = circuit_layer::Circuit::builder("nightly import").build()?;
/// circuit_layer::observe(circuit);
/// # Ok::<(), circuit_layer::BuildError>(())
/// ```
#[cfg(any(feature = "metrics", feature = "tracing"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "metrics", feature = "tracing"))))]
pub fn observe(circuit: Circuit) {
    if Registry::locked().add(circuit) {
        circuit.observe(|event: &Event| {
            #[cfg(feature = "metrics")]
            metered::event(event);
            #[cfg(feature = "tracing")]
            traced::event(event);
        });
    }
}

/// What a service knows of its circuit's metrics.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    #[cfg(feature = "metrics")]
    keys: &'static metered::Keys,
}

impl Seen {
    /// A layer is made for this circuit.
    pub(crate) fn new(circuit: Circuit) -> Self {
        #[cfg(any(feature = "metrics", feature = "tracing"))]
        observe(circuit);
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _ = circuit;
        Self {
            #[cfg(feature = "metrics")]
            keys: metered::keys(circuit.name()),
        }
    }

    /// A call was refused.
    pub(crate) fn refused(self, refused: &Refused) {
        #[cfg(feature = "metrics")]
        metered::refused(self.keys, refused);
        #[cfg(feature = "tracing")]
        traced::refused(refused);
        let _ = (self, refused);
    }
}

#[cfg(feature = "tracing")]
mod traced {
    use state_core::{Event, Refused, State};

    pub(super) fn refused(refused: &Refused) {
        tracing::trace!(
            circuit = refused.circuit(),
            reason = refused.reason().as_str(),
            opened_by = refused.opened_by().as_str(),
            retry_after_ms = refused.retry_after().map(|wait| wait.as_millis()),
            "call refused",
        );
    }

    pub(super) fn event(event: &Event) {
        match event {
            Event::Transition(transition) => {
                let (circuit, generation) = (transition.circuit.name(), transition.generation);
                let (from, to) = (transition.from.as_str(), transition.to.as_str());
                let reason = transition.reason.as_str();
                match transition.to {
                    State::Open | State::ForcedOpen => {
                        tracing::warn!(circuit, from, to, reason, generation, "circuit opened");
                    }
                    _ => tracing::info!(circuit, from, to, reason, generation, "circuit changed"),
                }
            }
            Event::WouldTrip(would_trip) => tracing::warn!(
                circuit = would_trip.circuit.name(),
                rule = would_trip.rule.as_str(),
                generation = would_trip.generation,
                "circuit would trip",
            ),
            _ => {}
        }
    }
}

#[cfg(feature = "metrics")]
mod metered {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use metrics::{Key, Label, Level, Metadata, counter, gauge, with_recorder};
    use state_core::{Event, RefusalReason, Refused};

    use crate::ledger::strictest;
    use crate::registry::{Named, Registry};

    const STATE: &str = "circuit_state";
    const TRANSITIONS: &str = "circuit_transitions_total";
    const CALLS: &str = "circuit_calls_total";
    const SLOW: &str = "circuit_slow_calls_total";
    const CANCELLED: &str = "circuit_cancelled_calls_total";
    const REFUSED: &str = "circuit_refused_total";

    /// The keys of a name's counters of refusals, one for each reason.
    pub(super) type Keys = [Key; RefusalReason::ALL.len()];

    /// Made once for each name and kept, like the name itself, so that a refusal makes none.
    pub(super) fn keys(name: &'static str) -> &'static Keys {
        static KEYS: Mutex<BTreeMap<&'static str, &'static Keys>> = Mutex::new(BTreeMap::new());
        let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(name).or_insert_with(|| {
            Box::leak(Box::new(RefusalReason::ALL.map(|reason| {
                let labels = vec![
                    Label::from_static_parts("circuit", name),
                    Label::from_static_parts("reason", reason.as_str()),
                ];
                Key::from_parts(REFUSED, labels)
            })))
        })
    }

    pub(super) fn refused(keys: &'static Keys, refused: &Refused) {
        static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let reason = RefusalReason::ALL.iter().position(|reason| *reason == refused.reason());
        if let Some(key) = reason.and_then(|at| keys.get(at)) {
            with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(1);
        }
    }

    pub(super) fn event(event: &Event) {
        if let Event::Transition(transition) = event {
            let name = transition.circuit.name();
            let mut registry = Registry::locked();
            let named = registry.names.entry(name).or_default();
            named.ledger.count(transition);
            publish(name, named);
        }
    }

    /// Publishes the metrics of all circuits that have a layer, or were given to [`observe`](crate::observe()), to the
    /// `metrics` recorder that is installed. Call it when metrics are scraped.
    ///
    /// Calls do not count for themselves, which would cost each more than the breaker does; between two calls of this
    /// function what they came to is published at transitions only. Circuits of the same name are added up; their state is
    /// that of the one that lets least through. Refusals are counted as they happen.
    ///
    /// ```
    /// use circuit_layer::{Circuit, CircuitLayer, publish_metrics};
    ///
    /// let circuit = Circuit::builder("openai").build()?;
    /// let layer = CircuitLayer::new(circuit);
    /// publish_metrics(); // circuit_state{circuit="openai"} 0
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn publish_metrics() {
        metrics::describe_gauge!(
            STATE,
            "0 closed, 1 open, 2 half-open, 3 forced open, 4 disabled, 5 metrics only, 6 retired"
        );
        metrics::describe_counter!(TRANSITIONS, "changes of state");
        metrics::describe_counter!(
            CALLS,
            "calls by what they came to; late: after their generation had ended"
        );
        metrics::describe_counter!(SLOW, "calls that were slow, whatever they came to");
        metrics::describe_counter!(CANCELLED, "calls that were given up, whatever they counted as");
        metrics::describe_counter!(REFUSED, "calls that were refused");
        for (name, named) in &mut Registry::locked().names {
            publish(name, named);
        }
    }

    fn publish(name: &'static str, named: &mut Named) {
        named.sweep();
        if let Some(totals) = named.ledger.totals() {
            for (outcome, count) in [
                ("success", totals.successes),
                ("failure", totals.failures),
                ("neutral", totals.neutral),
                ("late", totals.late),
            ] {
                counter!(CALLS, "circuit" => name, "outcome" => outcome).absolute(count);
            }
            counter!(SLOW, "circuit" => name).absolute(totals.slow);
            counter!(CANCELLED, "circuit" => name).absolute(totals.cancelled);
        }
        for ([from, to, reason], count) in &named.ledger.transitions {
            counter!(TRANSITIONS, "circuit" => name, "from" => *from, "to" => *to, "reason" => *reason)
                .absolute(*count);
        }
        gauge!(STATE, "circuit" => name).set(f64::from(strictest(&named.circuits).number()));
    }
}
