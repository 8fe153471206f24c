//! How a probe is run: the builder, its defaults, and what it refuses.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use state_core::Circuit;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::build_error::BuildError;
use crate::handle::{Control, ProbeHandle};
use crate::health::Health;
use crate::jitter::Random;
use crate::probe::Probe;
use crate::report::Reporter;
use crate::tally::Thresholds;
use crate::task::{self, Pace};
use crate::traffic::Traffic;

/// Tokio's timers tick in milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const LONGEST_NAME: usize = 256;

/// Says how a probe is run, and starts it.
///
/// | | default |
/// |---|---|
/// | [`every`](Self::every) | 10 s |
/// | [`timeout`](Self::timeout) | 2 s |
/// | [`jitter`](Self::jitter) | 0.1 |
/// | [`unhealthy_after`](Self::unhealthy_after) | 3 |
/// | [`healthy_after`](Self::healthy_after) | 2 |
/// | [`initial_delay`](Self::initial_delay) | 0 s |
/// | [`every_when_idle`](Self::every_when_idle) | the same as `every` |
///
/// ```
/// use std::time::Duration;
/// use health_probe::{FnProbe, Probe};
/// use state_core::Circuit;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let circuit = Circuit::builder("queue").build()?;
/// let queue = FnProbe::new("queue", async || Ok::<_, std::io::Error>(()))
///     .every(Duration::from_secs(5))
///     .timeout(Duration::from_millis(500))
///     .unhealthy_after(2)
///     .every_when_idle(Duration::from_secs(60))
///     .drives(circuit)
///     .spawn()?;
/// # Ok(()) }
/// ```
#[must_use = "a probe does nothing until `spawn`"]
pub struct ProbeBuilder<P> {
    probe: P,
    name: Option<String>,
    every: Duration,
    timeout: Duration,
    jitter: f64,
    seed: Option<u64>,
    unhealthy_after: u32,
    healthy_after: u32,
    initial_delay: Duration,
    every_when_idle: Option<Duration>,
    traffic: Option<Traffic>,
    circuits: Vec<Circuit>,
}

impl<P: Probe> ProbeBuilder<P> {
    /// All defaults. The same as [`Probe::builder`].
    pub fn new(probe: P) -> Self {
        Self {
            probe,
            name: None,
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            jitter: 0.1,
            seed: None,
            unhealthy_after: 3,
            healthy_after: 2,
            initial_delay: Duration::ZERO,
            every_when_idle: None,
            traffic: None,
            circuits: Vec::new(),
        }
    }

    /// The name, 1 to 256 bytes, that stands in errors, logs and metrics. Default: what the probe looks at. Take it from
    /// a bounded set; probes of one name share their metrics.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The time from the start of a check to the start of the next, 1 ms to 365 days. A check that takes longer is
    /// followed by the next at once, and checks that were missed are not made up for.
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }

    /// How long a check may take, 1 ms to 365 days. One without an answer by then has failed.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Each interval is drawn anew, evenly from `(1 - jitter)` to `(1 + jitter)` times what was set; in [0, 1).
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Draws the jitter from this seed, to be repeatable. Default: another one for each probe.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many failures in a row turn up into down; at least 1. The first result of all counts at once, and so does a
    /// failure that [says so](crate::CheckError::down_at_once).
    pub fn unhealthy_after(mut self, failures: u32) -> Self {
        self.unhealthy_after = failures;
        self
    }

    /// How many successes in a row turn down into up; at least 1. The first result of all counts at once.
    pub fn healthy_after(mut self, successes: u32) -> Self {
        self.healthy_after = successes;
        self
    }

    /// How long to wait before the first check, up to 365 days. The state is `Unknown` meanwhile.
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// A longer interval for as long as nobody calls the dependency, from `every` to 365 days.
    ///
    /// It holds after a check, when the state is up, the check has passed and there was no traffic since the check
    /// before; whatever is down or in doubt is looked at as often as ever. Traffic is what [`traffic`](Self::traffic)
    /// counts, else the calls through the circuits that the probe drives, refused ones included.
    pub fn every_when_idle(mut self, interval: Duration) -> Self {
        self.every_when_idle = Some(interval);
        self
    }

    /// How traffic is noticed for [`every_when_idle`](Self::every_when_idle): a number that changes when there is some.
    /// Called once a check.
    pub fn traffic(mut self, count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.traffic = Some(Traffic::counted(count));
        self
    }

    /// Moves `circuit`: down opens it and holds it open, up takes it to half-open at once, where trials decide. Down at
    /// the first check opens it too.
    ///
    /// A probe may drive several circuits, and a circuit be driven by several probes: any that is down holds it. What an
    /// operator ordered stands above them all. When the probe ends, it lets go: a circuit that only it held stays open for
    /// the policy's open time more.
    pub fn drives(mut self, circuit: Circuit) -> Self {
        self.circuits.push(circuit);
        self
    }

    /// Checks the configuration, and starts the probe on the runtime that this is called in: one task.
    ///
    /// ```
    /// use health_probe::{FnProbe, Probe};
    ///
    /// let error = FnProbe::new("disk", async || Ok::<_, std::io::Error>(())).spawn().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     r#"probe "disk": runtime = none is not allowed; start it within a tokio runtime, or with `spawn_on`"#
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// [`BuildError`] with the field, its value and what is allowed, when something is out of its bounds, when there is no
    /// tokio runtime, or when it has no timers.
    pub fn spawn(self) -> Result<ProbeHandle, BuildError> {
        let name = self.the_name();
        // What is wrong with the configuration is said first, wherever this is called.
        self.check().map_err(|error| error.of(&name))?;
        let runtime = Handle::try_current().map_err(|_| {
            let allowed = "start it within a tokio runtime, or with `spawn_on`";
            BuildError::new("runtime", "none", allowed).of(&name)
        });
        self.spawn_on(&runtime?)
    }

    /// [`spawn`](Self::spawn) on a runtime of choice, from anywhere.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn_on(self, runtime: &Handle) -> Result<ProbeHandle, BuildError> {
        let name = self.the_name();
        self.check()
            .and_then(|()| has_timers(runtime))
            .map_err(|error| error.of(&name))?;
        let _guard = runtime.enter();
        let traffic = self.traffic.unwrap_or_else(|| Traffic::of(self.circuits.clone()));
        let health = Health::new(&name);
        let thresholds = Thresholds {
            unhealthy_after: self.unhealthy_after,
            healthy_after: self.healthy_after,
        };
        let pace = Pace {
            every: self.every,
            timeout: self.timeout,
            initial_delay: self.initial_delay,
            jitter: self.jitter,
            random: self.seed.map_or_else(Random::drawn, Random::seeded),
            idle: self.every_when_idle.map(|interval| (interval, traffic)),
        };
        let links = self.circuits.iter().map(Circuit::probe_link).collect();
        let reporter = Reporter::new(health.clone(), thresholds, links);
        // Known from the start, not only when the task has been polled.
        reporter.due(Instant::now() + pace.initial_delay);
        let (control, controlled) = watch::channel(Control::default());
        let task = runtime.spawn(task::run(self.probe, pace, reporter, controlled));
        Ok(ProbeHandle::new(health, control, task))
    }

    fn the_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.probe.target())
    }

    fn check(&self) -> Result<(), BuildError> {
        // First what is looked at: an empty URL is no fault of the name that is made of it.
        self.probe.validate()?;
        let name = self.the_name();
        if name.is_empty() || name.len() > LONGEST_NAME {
            let value = format!("{} bytes", name.len());
            return Err(BuildError::new("name", value, "set it to 1 to 256 bytes, with `named`"));
        }
        in_span("every", self.every, SHORTEST, "1 ms")?;
        in_span("timeout", self.timeout, SHORTEST, "1 ms")?;
        in_span("initial_delay", self.initial_delay, Duration::ZERO, "0")?;
        if !(0.0..1.0).contains(&self.jitter) {
            let allowed = "set it to 0 or more and less than 1";
            return Err(BuildError::new("jitter", self.jitter, allowed));
        }
        for (field, n) in [
            ("unhealthy_after", self.unhealthy_after),
            ("healthy_after", self.healthy_after),
        ] {
            if n == 0 {
                return Err(BuildError::new(field, n, "set it to at least 1"));
            }
        }
        if let Some(interval) = self.every_when_idle {
            in_span("every_when_idle", interval, self.every, &format!("{:?}", self.every))?;
            if self.traffic.is_none() && self.circuits.iter().all(|circuit| circuit.totals().is_none()) {
                let allowed = "leave it out, drive a circuit with totals, or say how traffic is counted with `traffic`";
                return Err(BuildError::new("every_when_idle", format!("{interval:?}"), allowed));
            }
        }
        Ok(())
    }
}

/// Without timers the task would panic at its first wait, where nobody sees it.
fn has_timers(runtime: &Handle) -> Result<(), BuildError> {
    let _guard = runtime.enter();
    catch_unwind(AssertUnwindSafe(|| drop(tokio::time::sleep(Duration::ZERO)))).map_err(|_| {
        let allowed = "build the runtime with `enable_time` or `enable_all`";
        BuildError::new("runtime", "one without timers", allowed)
    })
}

fn in_span(field: &'static str, value: Duration, least: Duration, name: &str) -> Result<(), BuildError> {
    if (least..=LONGEST).contains(&value) {
        return Ok(());
    }
    let allowed = format!("set it to {name} to 365 days");
    Err(BuildError::new(field, format!("{value:?}"), allowed))
}

impl<P: fmt::Debug> fmt::Debug for ProbeBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeBuilder")
            .field("probe", &self.probe)
            .field("name", &self.name)
            .field("every", &self.every)
            .field("timeout", &self.timeout)
            .field("circuits", &self.circuits)
            .finish_non_exhaustive()
    }
}
