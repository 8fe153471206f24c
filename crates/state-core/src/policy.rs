//! The configuration of a circuit: what trips it, for how long, and what closes it again.

use core::time::Duration;

use crate::window::Window;

/// What trips a circuit, for how long, and what closes it again.
///
/// A policy is plain data: build it once and make any number of circuits from it. It is checked when a circuit is built.
/// The same setters stand on [`CircuitBuilder`](crate::CircuitBuilder).
///
/// Rules: any number of them, and any one trips. As soon as one rule is named, only named rules apply; with none,
/// those of [`Policy::default`]: [`consecutive_failures(5)`](Self::consecutive_failures) and
/// [`failure_rate_above(0.5)`](Self::failure_rate_above).
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, Policy, Window};
///
/// let policy = Policy::new()
///     .failure_rate_above(0.3)
///     .slow_call_rate_above(0.5, Duration::from_secs(2))
///     .window(Window::time(Duration::from_secs(60)))
///     .min_calls(20)
///     .open_for(Duration::from_secs(10))
///     .backoff(2.0, Duration::from_secs(300))
///     .jitter(0.1);
/// let eu = Circuit::builder("openai-eu").policy(policy.clone()).build()?;
/// let us = Circuit::builder("openai-us").policy(policy).build()?;
/// # Ok::<(), state_core::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Policy {
    pub(crate) consecutive_failures: Option<u32>,
    pub(crate) failure_rate: Option<Threshold>,
    pub(crate) slow_call_rate: Option<SlowRule>,
    pub(crate) ewma: Option<EwmaRule>,
    pub(crate) window: Option<Window>,
    pub(crate) min_calls: Option<u32>,
    pub(crate) evaluate_on_every_outcome: bool,
    #[cfg_attr(feature = "serde", serde(with = "crate::span::optional"))]
    pub(crate) grace: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(with = "crate::span"))]
    pub(crate) open_for: Duration,
    pub(crate) open_until_probe: bool,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) jitter: f64,
    #[cfg_attr(feature = "serde", serde(with = "crate::span"))]
    pub(crate) max_retry_after: Duration,
    pub(crate) half_open: HalfOpen,
    pub(crate) concurrent_trials: Option<u32>,
    #[cfg_attr(feature = "serde", serde(with = "crate::span::optional"))]
    pub(crate) max_half_open: Option<Duration>,
    pub(crate) on_cancel: Option<OnCancel>,
    pub(crate) totals: bool,
    pub(crate) stamp_failures: bool,
    pub(crate) seed: Option<u64>,
}

/// A limit for a rate, and which way it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub(crate) enum Threshold {
    Above(f64),
    AtLeast(f64),
}

impl Threshold {
    #[inline]
    pub(crate) fn trips(self, rate: f64) -> bool {
        match self {
            Self::Above(limit) => rate > limit,
            Self::AtLeast(limit) => rate >= limit,
        }
    }

    pub(crate) const fn limit(self) -> f64 {
        match self {
            Self::Above(limit) | Self::AtLeast(limit) => limit,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Above(_) => "above",
            Self::AtLeast(_) => "at least",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub(crate) struct SlowRule {
    pub(crate) rate: Threshold,
    #[cfg_attr(feature = "serde", serde(with = "crate::span"))]
    pub(crate) after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub(crate) struct EwmaRule {
    pub(crate) above: f64,
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) weights: EwmaWeights,
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub(crate) struct Backoff {
    pub(crate) factor: f64,
    #[cfg_attr(feature = "serde", serde(with = "crate::span"))]
    pub(crate) max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case", deny_unknown_fields)
)]
pub(crate) enum HalfOpen {
    Trials(u32),
    Batch(u32),
    Ramp {
        #[cfg_attr(feature = "serde", serde(with = "crate::span"))]
        over: Duration,
        failure_rate: f64,
        min_calls: u32,
    },
}

/// The weights of a moving failure rate: after a failure r becomes `failure_keep * r + (1 - failure_keep)`, after a
/// success `success_keep * r`, and 0 below `floor`. Default: 0.9, 0.5, 0.01: a success weighs five times as much as a
/// failure, so that only a stream that fails more often than not moves far.
///
/// ```
/// use state_core::{EwmaWeights, Policy};
///
/// let policy = Policy::new().ewma(0.8, EwmaWeights { success_keep: 0.7, ..EwmaWeights::default() });
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct EwmaWeights {
    /// What is left of the rate after a failure, in [0, 1).
    pub failure_keep: f64,
    /// What is left of the rate after a success, in [0, 1).
    pub success_keep: f64,
    /// A rate below this is taken for 0, in [0, 1).
    pub floor: f64,
}

impl Default for EwmaWeights {
    fn default() -> Self {
        Self {
            failure_keep: 0.9,
            success_keep: 0.5,
            floor: 0.01,
        }
    }
}

/// What a permit comes to when it is dropped unsettled because the caller gave up.
///
/// A permit that is dropped while its thread panics is a failure, whatever stands here.
///
/// ```
/// use state_core::{Circuit, OnCancel};
///
/// let circuit = Circuit::builder("doc").consecutive_failures(1).on_cancel(OnCancel::Failure).build()?;
/// drop(circuit.acquire()?);
/// assert!(circuit.acquire().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum OnCancel {
    /// Nothing is recorded; a trial gives its place back. The default without a slow rule.
    Neutral,
    /// A failure.
    Failure,
    /// A slow failure if the call had lasted `slow_after`, else neutral. The default as soon as a slow rule is set, so
    /// that a hung dependency under an outer timeout trips the circuit.
    SlowFailure,
}

impl Default for Policy {
    /// `consecutive_failures(5)`, `failure_rate_above(0.5)` over `Window::calls(100)` with `min_calls(5)`,
    /// `open_for(30 s)`, `trials(3)` one at a time.
    fn default() -> Self {
        Self {
            consecutive_failures: None,
            failure_rate: None,
            slow_call_rate: None,
            ewma: None,
            window: None,
            min_calls: None,
            evaluate_on_every_outcome: false,
            grace: None,
            open_for: Duration::from_secs(30),
            open_until_probe: false,
            backoff: None,
            jitter: 0.0,
            max_retry_after: Duration::from_secs(300),
            half_open: HalfOpen::Trials(3),
            concurrent_trials: None,
            max_half_open: None,
            on_cancel: None,
            totals: true,
            stamp_failures: false,
            seed: None,
        }
    }
}

impl Policy {
    /// The same as [`Policy::default`]: a start for setters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trips after `n` failures in a row and stays open for `open_for`. `consecutive(5, 60 s)` guards an inference engine.
    #[must_use]
    pub fn consecutive(n: u32, open_for: Duration) -> Self {
        Self::new().consecutive_failures(n).open_for(open_for)
    }

    /// Trips when more than `rate` of all calls since closing failed, from 5 calls on.
    #[must_use]
    pub fn failure_rate(rate: f64) -> Self {
        Self::new().failure_rate_above(rate).window(Window::lifetime())
    }

    /// Trips when more than `rate` of the calls of the last `span` failed, from 5 calls on; then stays open for
    /// `open_for` and lets calls back in along a ramp over `recover_over`, which a rate above `rate` of at least 5 calls
    /// ends.
    #[must_use]
    pub fn ratio_in_time(rate: f64, span: Duration, open_for: Duration, recover_over: Duration) -> Self {
        Self::new()
            .failure_rate_above(rate)
            .window(Window::time(span))
            .open_for(open_for)
            .ramp(recover_over, rate, 5)
    }

    pub(crate) fn names_a_rule(&self) -> bool {
        self.consecutive_failures.is_some()
            || self.failure_rate.is_some()
            || self.slow_call_rate.is_some()
            || self.ewma.is_some()
    }
}

/// Writes each setter once, for the policy and for the builder that carries one.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) |$policy:ident| $set:block)*) => {
        impl Policy {
            $($(#[$doc])* #[must_use] pub fn $name(mut self $(, $arg: $ty)*) -> Self {
                let $policy = &mut self;
                $set
                self
            })*
        }
        impl crate::CircuitBuilder {
            $($(#[$doc])* pub fn $name(mut self $(, $arg: $ty)*) -> Self {
                let $policy = &mut self.policy;
                $set
                self
            })*
        }
    };
}

setters! {
    /// Trips at the `n`-th failure in a row, 1 to 32,767. A success starts the row anew.
    consecutive_failures(n: u32) |policy| { policy.consecutive_failures = Some(n); }

    /// Trips when failures / calls in the window is above `rate`, in [0, 1), once the window holds `min_calls`.
    failure_rate_above(rate: f64) |policy| { policy.failure_rate = Some(Threshold::Above(rate)); }

    /// Trips when failures / calls in the window is at least `rate`, in (0, 1], once the window holds `min_calls`.
    failure_rate_at_least(rate: f64) |policy| { policy.failure_rate = Some(Threshold::AtLeast(rate)); }

    /// Trips when slow calls / calls in the window is above `rate`, in [0, 1), once the window holds `min_calls`. A call
    /// is slow when it lasted at least `slow_after`, whether it succeeded or failed; a slow trial is a failed trial.
    slow_call_rate_above(rate: f64, slow_after: Duration) |policy| {
        policy.slow_call_rate = Some(SlowRule { rate: Threshold::Above(rate), after: slow_after });
    }

    /// Trips when slow calls / calls in the window is at least `rate`, in (0, 1]; else as
    /// [`slow_call_rate_above`](Self::slow_call_rate_above).
    slow_call_rate_at_least(rate: f64, slow_after: Duration) |policy| {
        policy.slow_call_rate = Some(SlowRule { rate: Threshold::AtLeast(rate), after: slow_after });
    }

    /// Trips when a moving failure rate of the stream of calls is above `above`, in (0, 1). The rate is kept with 22 bits
    /// of fraction.
    ///
    /// Its answer depends on the call rate: the same share of failures in a second moves it further when there are
    /// more calls in that second, and a short burst of failures trips it however many successes came long before.
    ewma(above: f64, weights: EwmaWeights) |policy| { policy.ewma = Some(EwmaRule { above, weights }); }

    /// Which outcomes the rates are taken over (default `Window::calls(100)`).
    window(window: Window) |policy| { policy.window = Some(window); }

    /// How many calls the window must hold before a rate may trip (default 5, or all of a smaller window of calls).
    min_calls(n: u32) |policy| { policy.min_calls = Some(n); }

    /// Looks at the rules on plain successes too, so that the success that fills `min_calls` can trip. Otherwise only a
    /// failure or a slow call trips.
    evaluate_on_every_outcome() |policy| { policy.evaluate_on_every_outcome = true; }

    /// For this long after closing no rule trips (default none).
    grace(d: Duration) |policy| { policy.grace = Some(d); }

    /// How long the circuit stays open before it lets trials through, 1 ms to 365 days (default 30 s). Deadlines have a
    /// resolution of 1 ms and are rounded up.
    open_for(d: Duration) |policy| { policy.open_for = d; }

    /// Only a health probe or an operator ends the open state; no time does.
    open_until_probe() |policy| { policy.open_until_probe = true; }

    /// Each re-opening without a close between multiplies the open time by `factor` (1 and more), up to `max`. A close
    /// starts over.
    backoff(factor: f64, max: Duration) |policy| { policy.backoff = Some(Backoff { factor, max }); }

    /// Each opening takes a random time in [d(1-f), d(1+f)], f in [0, 1) (default 0).
    jitter(f: f64) |policy| { policy.jitter = f; }

    /// The longest retry hint of a failure that is heeded (default 5 min). Longer ones count as this long.
    max_retry_after(d: Duration) |policy| { policy.max_retry_after = d; }

    /// Half-open: so many trials in a row must succeed to close, 1 to 511 (default 3); the first failure re-opens.
    trials(successes: u32) |policy| { policy.half_open = HalfOpen::Trials(successes); }

    /// How many trials may be in flight at once, 1 to 511 (default 1). For `trials`.
    concurrent_trials(n: u32) |policy| { policy.concurrent_trials = Some(n); }

    /// Half-open: exactly `n` trials are admitted, 1 to 511; when all have settled, the failure-rate and slow-rate rules
    /// are applied to those `n`: any that trips re-opens, else the circuit closes.
    trial_batch(n: u32) |policy| { policy.half_open = HalfOpen::Batch(n); }

    /// Half-open: after t of `over` a call is admitted with probability 2^(t/over) - 1. A failure rate above
    /// `failure_rate` once `min_calls` were made re-opens; at t = over the circuit closes.
    ramp(over: Duration, failure_rate: f64, min_calls: u32) |policy| {
        policy.half_open = HalfOpen::Ramp { over, failure_rate, min_calls };
    }

    /// How long trials may be out without a verdict before the circuit re-opens (default: the open time). Measured from
    /// the trial that went out while no other was: a half-open circuit that merely waits for traffic does not expire.
    /// Trials that are cancelled or neutral do not start it anew.
    max_half_open(d: Duration) |policy| { policy.max_half_open = Some(d); }

    /// What a permit comes to that is dropped unsettled (default: [`OnCancel::Neutral`], with a slow rule
    /// [`OnCancel::SlowFailure`]).
    on_cancel(what: OnCancel) |policy| { policy.on_cancel = Some(what); }

    /// Whether totals since the start are kept (default yes): one add to a counter of the calling thread's own for each
    /// call.
    totals(keep: bool) |policy| { policy.totals = keep; }

    /// Reads the clock at each failure, so that the time of the last failure is known even where no rule needs a clock
    /// (default no: then only failures that open the circuit are stamped, and those of policies with time in them).
    stamp_failures(yes: bool) |policy| { policy.stamp_failures = yes; }

    /// Seeds the random source of jitter and ramp, so that a run can be repeated.
    seed(seed: u64) |policy| { policy.seed = Some(seed); }
}
