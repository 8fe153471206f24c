//! What is seen from outside: the only file that names a metric or an event field.
//!
//! An admitted call writes nothing here, for a shared gauge would cost it more than the limiter does. Gauges are read off
//! the limits when somebody asks for them. Handles of metrics are looked up each time, through keys that are made with
//! the limit: a handle that was kept from before a recorder was installed would do nothing for ever.

use crate::error::Overloaded;
use crate::limit::Limit;

#[cfg(feature = "metrics")]
pub use metered::publish_metrics;
#[cfg(feature = "metrics")]
pub(crate) use metered::{Keys, limit_changed_gauges, refused_counter, retired_gauges};

/// A call was refused.
pub(crate) fn refused(overloaded: &Overloaded) {
    #[cfg(feature = "metrics")]
    refused_counter(overloaded);
    #[cfg(feature = "tracing")]
    tracing::trace!(
        limit = overloaded.limit_name(),
        reason = overloaded.reason().as_str(),
        in_flight = overloaded.in_flight(),
        max = overloaded.limit(),
        waiting = overloaded.waiting(),
        "call refused",
    );
    let _ = overloaded;
}

/// A limit was changed.
pub(crate) fn limit_changed(limit: &Limit) {
    #[cfg(feature = "metrics")]
    limit_changed_gauges(limit);
    #[cfg(feature = "tracing")]
    tracing::info!(
        limit = limit.name(),
        max = limit.limit(),
        in_flight = limit.in_flight(),
        "limit changed"
    );
    let _ = limit;
}

/// A limit is no more.
pub(crate) fn retired(name: &'static str) {
    #[cfg(feature = "metrics")]
    retired_gauges(name);
    #[cfg(feature = "tracing")]
    tracing::info!(limit = name, "limit retired");
    let _ = name;
}

/// No metrics, no keys.
#[cfg(not(feature = "metrics"))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Keys;

#[cfg(not(feature = "metrics"))]
impl Keys {
    pub(crate) const fn new(_name: &str) -> Self {
        Self
    }
}

#[cfg(feature = "metrics")]
mod metered {
    use std::cmp::Ordering;
    use std::collections::BTreeMap;

    use metrics::{Key, Label, Level, Metadata, gauge, with_recorder};

    use crate::error::{Overloaded, Reason};
    use crate::limit::Limit;

    const IN_FLIGHT: &str = "concurrency_in_flight";
    const LIMIT: &str = "concurrency_limit";
    const WAITING: &str = "concurrency_waiting";
    const REFUSED: &str = "concurrency_refused_total";

    /// The keys of a limit's counters of refusals, one for each reason. Made once, so that a refusal allocates none.
    ///
    /// They follow from the limit's name, so they say nothing when configurations are compared.
    #[derive(Clone, Debug)]
    pub(crate) struct Keys([Key; Reason::ALL.len()]);

    impl Keys {
        pub(crate) fn new(name: &str) -> Self {
            Self(Reason::ALL.map(|reason| {
                let labels = vec![
                    Label::new("limit", name.to_owned()),
                    Label::from_static_parts("reason", reason.as_str()),
                ];
                Key::from_parts(REFUSED, labels)
            }))
        }
    }

    impl PartialEq for Keys {
        fn eq(&self, _other: &Self) -> bool {
            true
        }
    }

    impl Eq for Keys {}

    impl PartialOrd for Keys {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Keys {
        fn cmp(&self, _other: &Self) -> Ordering {
            Ordering::Equal
        }
    }

    pub(crate) fn refused_counter(overloaded: &Overloaded) {
        static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let key = &overloaded.keys().0[overloaded.reason() as usize];
        with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(1);
    }

    pub(crate) fn limit_changed_gauges(limit: &Limit) {
        publish(
            limit.name(),
            sums(Limit::all()).get(limit.name()).copied().unwrap_or_default(),
        );
    }

    pub(crate) fn retired_gauges(name: &'static str) {
        publish(name, sums(Limit::all()).get(name).copied().unwrap_or_default());
    }

    /// Publishes the gauges of all limits to the `metrics` recorder that is installed. Call it when metrics are scraped.
    ///
    /// Gauges are not written by calls, which would cost each call more than the limiter does; between two calls of this
    /// function they stand still, except when a limit is changed or retired. Limits of the same name are added up.
    /// Refusals are counted as they happen.
    ///
    /// ```
    /// use concurrency_layer::{Limit, publish_metrics};
    ///
    /// let limit = Limit::fixed(3).name("openai").build()?;
    /// let _permit = limit.try_acquire()?;
    /// publish_metrics(); // concurrency_in_flight{limit="openai"} 1
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_metrics() {
        metrics::describe_gauge!(IN_FLIGHT, "calls that hold a slot");
        metrics::describe_gauge!(LIMIT, "calls that may hold a slot at once");
        metrics::describe_gauge!(WAITING, "calls (under backpressure: services) that wait for a slot");
        metrics::describe_counter!(REFUSED, "calls that were refused");
        for (name, figures) in sums(Limit::all()) {
            publish(name, figures);
        }
    }

    #[derive(Clone, Copy, Default)]
    struct Figures {
        in_flight: f64,
        limit: f64,
        waiting: f64,
    }

    fn sums(limits: Vec<Limit>) -> BTreeMap<&'static str, Figures> {
        let mut sums = BTreeMap::<_, Figures>::new();
        for limit in limits {
            let sum = sums.entry(limit.name()).or_default();
            sum.in_flight += f64::from(limit.in_flight());
            sum.limit += f64::from(limit.limit());
            sum.waiting += f64::from(limit.waiting());
        }
        sums
    }

    fn publish(name: &'static str, figures: Figures) {
        gauge!(IN_FLIGHT, "limit" => name).set(figures.in_flight);
        gauge!(LIMIT, "limit" => name).set(figures.limit);
        gauge!(WAITING, "limit" => name).set(figures.waiting);
    }
}
