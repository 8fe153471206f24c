//! A checked configuration, in the units and with the answers that the breaker needs.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use crate::clock::ClockSource;
use crate::error::BuildError;
use crate::policy::{HalfOpen, OnCancel, Policy, Threshold};
use crate::ring::Shape;
use crate::settle::{OnSuccess, on_success};
use crate::tally::Slicing;
use crate::window::{self, Window};
use crate::word::{DIRTY, MAX_RAMP, MAX_STREAK, MAX_TRIALS, TIMED};

/// What circuits with the same name and policy share. Lives as long as the process.
pub(crate) struct Meta {
    pub(crate) name: Box<str>,
    pub(crate) plan: Plan,
}

pub(crate) struct Plan {
    pub(crate) policy: Policy,
    pub(crate) clock: ClockSource,
    /// The clock's reading that counts as 0 ms.
    pub(crate) anchor: u64,
    pub(crate) store: Store,
    /// The payload of a closed circuit that has just begun.
    pub(crate) fresh: u64,
    pub(crate) slow_after: Option<u64>,
    pub(crate) min_calls: u64,
    /// Whether recording an outcome reads the clock.
    pub(crate) reads_clock: bool,
    pub(crate) on_success: OnSuccess,
    pub(crate) on_cancel: OnCancel,
    pub(crate) half_open_ms: u64,
    pub(crate) ewma: Option<Ewma>,
}

#[derive(Clone, Copy)]
pub(crate) enum Store {
    None,
    Ring(Shape),
    Lifetime,
    Time(Slicing, u32),
}

/// The moving rate in 22 bits of fraction.
#[derive(Clone, Copy)]
pub(crate) struct Ewma {
    above: u64,
    failure_keep: u64,
    success_keep: u64,
    floor: u64,
}

const ONE: u64 = 1 << 22;
/// Above this a limit would be out of reach, and a weight would be 1.
const NEAREST_TO_ONE: f64 = 0.999_999_6;

impl Ewma {
    fn new(rule: crate::policy::EwmaRule) -> Self {
        #[allow(clippy::cast_sign_loss, reason = "checked to be in [0, 1)")]
        let fixed = |x: f64| (x * ONE as f64 + 0.5) as u64;
        Self {
            above: fixed(rule.above),
            failure_keep: fixed(rule.weights.failure_keep),
            success_keep: fixed(rule.weights.success_keep),
            floor: fixed(rule.weights.floor),
        }
    }

    /// What is left is kept of the way to 1: rounded down, so that failures alone lead all the way.
    pub(crate) fn after_failure(self, rate: u64) -> u64 {
        (ONE - (((ONE - rate) * self.failure_keep) >> 22)).min(ONE - 1)
    }

    pub(crate) fn after_success(self, rate: u64) -> u64 {
        let rate = (rate * self.success_keep) >> 22;
        if rate < self.floor { 0 } else { rate }
    }

    pub(crate) fn trips(self, rate: u64) -> bool {
        rate > self.above
    }
}

pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const MIN_PRECISE_FREE: Duration = Duration::from_millis(50);

/// Gathers what is wrong about a field into the error for it.
struct Check<'a> {
    circuit: &'a str,
}

impl Check<'_> {
    #[allow(clippy::needless_pass_by_value, reason = "read at the call site as what it is")]
    fn fail(&self, field: &'static str, value: impl ToString, problem: impl Into<String>) -> BuildError {
        BuildError {
            circuit: self.circuit.into(),
            field,
            value: value.to_string(),
            problem: problem.into(),
        }
    }

    fn count(&self, field: &'static str, value: u32, max: u64) -> Result<(), BuildError> {
        if value == 0 || u64::from(value) > max {
            return Err(self.fail(field, value, format!("is out of range; it must be from 1 to {max}")));
        }
        Ok(())
    }

    fn span(&self, field: &'static str, value: Duration) -> Result<(), BuildError> {
        if value < Duration::from_millis(1) || value > YEAR {
            return Err(self.fail(
                field,
                format!("{value:?}"),
                "is out of range; it must be from 1 ms to 365 days",
            ));
        }
        Ok(())
    }

    fn threshold(&self, above: &'static str, at_least: &'static str, rule: Threshold) -> Result<(), BuildError> {
        match rule {
            Threshold::Above(r) if !(0.0..1.0).contains(&r) => Err(self.fail(
                above,
                r,
                "would never or always trip; it must be at least 0 and below 1 (0.5 is half of the calls)",
            )),
            Threshold::AtLeast(r) if !(r > 0.0 && r <= 1.0) => Err(self.fail(
                at_least,
                r,
                "would never or always trip; it must be above 0 and at most 1 (0.5 is half of the calls)",
            )),
            _ => Ok(()),
        }
    }

    fn fraction(&self, field: &'static str, value: f64) -> Result<(), BuildError> {
        if !(0.0..1.0).contains(&value) {
            return Err(self.fail(field, value, "is out of range; it must be at least 0 and below 1"));
        }
        Ok(())
    }
}

impl Plan {
    /// Checks `policy` and turns it into a plan.
    pub(crate) fn new(name: &str, mut policy: Policy, clock: Option<ClockSource>) -> Result<Self, BuildError> {
        let check = Check { circuit: name };
        if name.is_empty() || name.len() > 256 {
            return Err(check.fail(
                "name",
                format!("{} bytes", name.len()),
                "is out of range; it must be from 1 to 256 bytes",
            ));
        }
        if !policy.names_a_rule() {
            policy.consecutive_failures = Some(5);
            policy.failure_rate = Some(Threshold::Above(0.5));
        }
        let rates = policy.failure_rate.is_some() || policy.slow_call_rate.is_some();
        let window = policy.window.or(rates.then(|| Window::calls(100)));
        check_rules(&check, &policy)?;
        let min_calls = check_window(&check, &policy, window)?;
        check_open(&check, &policy)?;
        check_half_open(&check, &policy, rates)?;

        let store = match window.map(|window| window.0) {
            None => Store::None,
            Some(window::Kind::Lifetime) => Store::Lifetime,
            Some(window::Kind::Calls(calls)) => Store::Ring(Shape::new(calls, policy.slow_call_rate.is_some())),
            Some(window::Kind::Time { span, buckets }) => Store::Time(Slicing::new(nanos(span), buckets), buckets),
        };
        let clock = check_clock(&check, &policy, window, clock)?;
        let slow_after = policy.slow_call_rate.map(|rule| nanos(rule.after));
        let reads_clock = matches!(store, Store::Time(..)) || slow_after.is_some();
        Ok(Self {
            anchor: clock.now(),
            clock,
            fresh: if matches!(store, Store::None) { 0 } else { DIRTY } | if slow_after.is_some() { TIMED } else { 0 },
            slow_after,
            min_calls: u64::from(min_calls),
            reads_clock,
            on_success: on_success(store, reads_clock, policy.evaluate_on_every_outcome),
            on_cancel: policy.on_cancel.unwrap_or(if slow_after.is_some() {
                OnCancel::SlowFailure
            } else {
                OnCancel::Neutral
            }),
            half_open_ms: millis(policy.max_half_open.unwrap_or(policy.open_for)),
            ewma: policy.ewma.map(Ewma::new),
            store,
            policy,
        })
    }

    /// The circuit's own time.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().saturating_sub(self.anchor)
    }
}

fn check_rules(check: &Check<'_>, policy: &Policy) -> Result<(), BuildError> {
    if let Some(n) = policy.consecutive_failures {
        check.count("consecutive_failures", n, MAX_STREAK)?;
    }
    if let Some(rule) = policy.failure_rate {
        check.threshold("failure_rate_above", "failure_rate_at_least", rule)?;
    }
    if let Some(rule) = policy.slow_call_rate {
        check.threshold("slow_call_rate_above", "slow_call_rate_at_least", rule.rate)?;
        if rule.after.is_zero() || rule.after > YEAR {
            let value = format!("{:?}", rule.after);
            return Err(check.fail(
                "slow_after",
                value,
                "is out of range; it must be above 0 and at most 365 days",
            ));
        }
    }
    if let Some(rule) = policy.ewma {
        if !(rule.above > 0.0 && rule.above < 1.0) {
            return Err(check.fail(
                "ewma",
                rule.above,
                "would never or always trip; it must be above 0 and below 1 (0.5 is half of the calls)",
            ));
        }
        check.fraction("ewma.failure_keep", rule.weights.failure_keep)?;
        check.fraction("ewma.success_keep", rule.weights.success_keep)?;
        check.fraction("ewma.floor", rule.weights.floor)?;
        for (field, value) in [
            ("ewma", rule.above),
            ("ewma.failure_keep", rule.weights.failure_keep),
            ("ewma.success_keep", rule.weights.success_keep),
        ] {
            if value > NEAREST_TO_ONE {
                let problem = format!("is nearer to 1 than 22 bits can tell; it must be at most {NEAREST_TO_ONE}");
                return Err(check.fail(field, value, problem));
            }
        }
    }
    if let Some(grace) = policy.grace {
        check.span("grace", grace)?;
    }
    if policy.on_cancel == Some(OnCancel::SlowFailure) && policy.slow_call_rate.is_none() {
        return Err(check.fail(
            "on_cancel",
            "SlowFailure",
            "needs a slow rule; set slow_call_rate_above or another value",
        ));
    }
    Ok(())
}

fn check_window(check: &Check<'_>, policy: &Policy, window: Option<Window>) -> Result<u32, BuildError> {
    if let Some(n) = policy.min_calls {
        check.count("min_calls", n, u64::from(u32::MAX))?;
    }
    match window.map(|window| window.0) {
        Some(window::Kind::Calls(calls)) => {
            check.count("window.calls", calls, 65_536)?;
            let min_calls = policy.min_calls.unwrap_or(calls.min(5));
            if min_calls > calls {
                let problem = format!("is more than the window of {calls} calls; set it to at most {calls}");
                return Err(check.fail("min_calls", min_calls, problem));
            }
            return Ok(min_calls);
        }
        Some(window::Kind::Time { span, buckets }) => {
            check.span("window.time", span)?;
            check.count("window.buckets", buckets, 256)?;
        }
        Some(window::Kind::Lifetime) | None => {}
    }
    Ok(policy.min_calls.unwrap_or(5))
}

fn check_open(check: &Check<'_>, policy: &Policy) -> Result<(), BuildError> {
    check.span("open_for", policy.open_for)?;
    check.span("max_retry_after", policy.max_retry_after)?;
    check.fraction("jitter", policy.jitter)?;
    if let Some(backoff) = policy.backoff {
        if !(backoff.factor >= 1.0 && backoff.factor.is_finite()) {
            let problem = "is out of range; it must be a number of 1 or more";
            return Err(check.fail("backoff.factor", backoff.factor, problem));
        }
        check.span("backoff.max", backoff.max)?;
        if backoff.max < policy.open_for {
            let problem = format!("is less than open_for; set it to at least {:?}", policy.open_for);
            return Err(check.fail("backoff.max", format!("{:?}", backoff.max), problem));
        }
    }
    Ok(())
}

fn check_half_open(check: &Check<'_>, policy: &Policy, rates: bool) -> Result<(), BuildError> {
    if let Some(d) = policy.max_half_open {
        check.span("max_half_open", d)?;
    }
    if let Some(n) = policy.concurrent_trials {
        check.count("concurrent_trials", n, MAX_TRIALS)?;
        if !matches!(policy.half_open, HalfOpen::Trials(_)) {
            return Err(check.fail(
                "concurrent_trials",
                n,
                "goes with trials only; a batch and a ramp have their own bounds",
            ));
        }
    }
    match policy.half_open {
        HalfOpen::Trials(n) => check.count("trials", n, MAX_TRIALS),
        HalfOpen::Batch(n) => {
            check.count("trial_batch", n, MAX_TRIALS)?;
            if !rates {
                let problem =
                    "needs a rule to judge it by; set failure_rate_above or slow_call_rate_above, or use trials";
                return Err(check.fail("trial_batch", n, problem));
            }
            Ok(())
        }
        HalfOpen::Ramp {
            over,
            failure_rate,
            min_calls,
        } => {
            check.span("ramp.over", over)?;
            check.fraction("ramp.failure_rate", failure_rate)?;
            check.count("ramp.min_calls", min_calls, MAX_RAMP / 2)
        }
    }
}

fn check_clock(
    check: &Check<'_>,
    policy: &Policy,
    window: Option<Window>,
    clock: Option<ClockSource>,
) -> Result<ClockSource, BuildError> {
    let slow_after = policy
        .slow_call_rate
        .map(|rule| rule.after)
        .filter(|after| *after < MIN_PRECISE_FREE);
    let span = match window.map(|window| window.0) {
        Some(window::Kind::Time { span, .. }) => Some(span).filter(|span| *span < Duration::from_secs(1)),
        _ => None,
    };
    let Some(clock) = clock else {
        #[cfg(feature = "std")]
        {
            let fine = slow_after.is_some() || span.is_some();
            return Ok(if fine {
                crate::SystemClock::precise()
            } else {
                crate::SystemClock::coarse()
            });
        }
        #[cfg(not(feature = "std"))]
        return Err(check.fail(
            "clock",
            "none",
            "can't be without the feature std; give one with clock(..)",
        ));
    };
    if clock.is_coarse() {
        if let Some(after) = slow_after {
            let problem =
                "is too short for the coarse clock; it must be at least 50 ms, or take SystemClock::precise()";
            return Err(check.fail("slow_after", format!("{after:?}"), problem));
        }
        if let Some(span) = span {
            let problem = "is too short for the coarse clock; it must be at least 1 s, or take SystemClock::precise()";
            return Err(check.fail("window.time", format!("{span:?}"), problem));
        }
    }
    Ok(clock)
}

/// How long it is from `now` (ns) until `deadline` (ms), in ns.
///
/// Deadlines are rounded up to a whole millisecond. That rest is not told as part of the wait, or an open time of 30 s would
/// be announced as 31, rounded up to seconds; within the last millisecond the wait is exact.
#[inline]
pub(crate) fn until(deadline: u64, now: u64) -> u64 {
    let left = deadline.saturating_mul(1_000_000).saturating_sub(now);
    if left < 1_000_000 {
        left
    } else {
        left - left % 1_000_000
    }
}

pub(crate) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole milliseconds, rounded up.
pub(crate) fn millis(d: Duration) -> u64 {
    nanos(d).div_ceil(1_000_000)
}
