//! The contract, "Bad configuration": `build()` returns `Err` naming the field, the value and what is allowed.

mod support;

use std::time::Duration;

use state_core::{BuildError, Circuit, CircuitBuilder, EwmaWeights, ManualClock, OnCancel, Window};
use support::secs;

fn build(policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) -> Result<Circuit, BuildError> {
    policy(Circuit::builder("bad")).clock(ManualClock::new()).build()
}

/// It is refused for `field`, and the error says with which value and what would do.
#[track_caller]
fn refused(field: &str, value: &str, policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) {
    let error = build(policy).expect_err("this can't work");
    assert_eq!((error.field(), error.value(), error.circuit()), (field, value, "bad"));
    let said = error.to_string();
    assert!(
        said.starts_with(&format!("circuit \"bad\": {field} = {value} ")),
        "{said}"
    );
    let allowed = ["it must be", "set it to", "set ", "needs a", "goes with"];
    assert!(allowed.iter().any(|words| error.problem().contains(words)), "{said}");
}

#[track_caller]
fn allowed(policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) {
    build(policy).expect("this can work");
}

#[test]
fn zero_counts_are_refused() {
    refused("consecutive_failures", "0", |c| c.consecutive_failures(0));
    refused("min_calls", "0", |c| c.min_calls(0));
    refused("window.calls", "0", |c| c.window(Window::calls(0)));
    refused("window.buckets", "0", |c| c.window(Window::time(secs(1)).buckets(0)));
    refused("trials", "0", |c| c.trials(0));
    refused("concurrent_trials", "0", |c| c.concurrent_trials(0));
    refused("trial_batch", "0", |c| c.failure_rate_above(0.5).trial_batch(0));
    refused("ramp.min_calls", "0", |c| c.ramp(secs(1), 0.5, 0));
}

#[test]
fn counts_over_what_the_packed_word_holds_are_refused() {
    refused("consecutive_failures", "32768", |c| c.consecutive_failures(32_768));
    refused("consecutive_failures", "4294967295", |c| {
        c.consecutive_failures(u32::MAX)
    });
    refused("trials", "512", |c| c.trials(512));
    refused("trials", "4294967295", |c| c.trials(u32::MAX));
    refused("concurrent_trials", "512", |c| c.concurrent_trials(512));
    refused("trial_batch", "512", |c| c.failure_rate_above(0.5).trial_batch(512));
    refused("window.calls", "65537", |c| c.window(Window::calls(65_537)));
    refused("window.buckets", "257", |c| {
        c.window(Window::time(secs(1)).buckets(257))
    });
    refused("ramp.min_calls", "4294967295", |c| c.ramp(secs(1), 0.5, u32::MAX));
    allowed(|c| c.consecutive_failures(32_767));
    allowed(|c| c.trials(511).concurrent_trials(511));
    allowed(|c| c.failure_rate_above(0.5).trial_batch(511).window(Window::calls(65_536)));
    allowed(|c| c.min_calls(u32::MAX).window(Window::lifetime()));
}

#[test]
fn nan_infinite_and_negative_rates_are_refused() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.1] {
        let value = bad.to_string();
        refused("failure_rate_above", &value, |c| c.failure_rate_above(bad));
        refused("failure_rate_at_least", &value, |c| c.failure_rate_at_least(bad));
        refused("slow_call_rate_above", &value, |c| c.slow_call_rate_above(bad, secs(1)));
        refused("slow_call_rate_at_least", &value, |c| {
            c.slow_call_rate_at_least(bad, secs(1))
        });
        refused("ewma", &value, |c| c.ewma(bad, EwmaWeights::default()));
        refused("jitter", &value, |c| c.jitter(bad));
        refused("ramp.failure_rate", &value, |c| c.ramp(secs(1), bad, 1));
        let weights = EwmaWeights::default();
        refused("ewma.failure_keep", &value, |c| {
            c.ewma(
                0.5,
                EwmaWeights {
                    failure_keep: bad,
                    ..weights
                },
            )
        });
        refused("ewma.success_keep", &value, |c| {
            c.ewma(
                0.5,
                EwmaWeights {
                    success_keep: bad,
                    ..weights
                },
            )
        });
        refused("ewma.floor", &value, |c| {
            c.ewma(0.5, EwmaWeights { floor: bad, ..weights })
        });
    }
}

#[test]
fn a_rate_that_can_never_or_always_trip_is_refused() {
    refused("failure_rate_above", "1", |c| c.failure_rate_above(1.0));
    refused("slow_call_rate_above", "1", |c| c.slow_call_rate_above(1.0, secs(1)));
    refused("failure_rate_at_least", "0", |c| c.failure_rate_at_least(0.0));
    refused("slow_call_rate_at_least", "0", |c| {
        c.slow_call_rate_at_least(0.0, secs(1))
    });
    refused("ewma", "1", |c| c.ewma(1.0, EwmaWeights::default()));
    refused("ewma", "0", |c| c.ewma(0.0, EwmaWeights::default()));
    refused("ramp.failure_rate", "1", |c| c.ramp(secs(1), 1.0, 1));
    allowed(|c| c.failure_rate_above(0.0));
    allowed(|c| c.failure_rate_at_least(1.0));
}

#[test]
fn zero_and_endless_durations_are_refused() {
    type Set = fn(CircuitBuilder, Duration) -> CircuitBuilder;
    let fields: [(&str, Set); 8] = [
        ("open_for", |c, d| c.open_for(d)),
        ("grace", |c, d| c.grace(d)),
        ("max_half_open", |c, d| c.max_half_open(d)),
        ("max_retry_after", |c, d| c.max_retry_after(d)),
        ("window.time", |c, d| c.window(Window::time(d))),
        ("ramp.over", |c, d| c.ramp(d, 0.5, 1)),
        ("slow_after", |c, d| c.slow_call_rate_above(0.5, d)),
        ("backoff.max", |c, d| c.backoff(2.0, d)),
    ];
    for (field, set) in fields {
        for bad in [Duration::ZERO, Duration::MAX, secs(365 * 86_400 + 1)] {
            refused(field, &format!("{bad:?}"), |c| set(c, bad));
        }
        allowed(|c| set(c, secs(30)));
        allowed(|c| set(c, secs(365 * 86_400)));
    }
}

#[test]
fn min_calls_over_a_calls_window_is_refused() {
    refused("min_calls", "101", |c| c.min_calls(101));
    refused("min_calls", "11", |c| c.window(Window::calls(10)).min_calls(11));
    allowed(|c| c.window(Window::calls(10)).min_calls(10));
    allowed(|c| c.window(Window::calls(3)));
}

#[test]
fn a_jitter_outside_zero_to_one_is_refused() {
    refused("jitter", "1", |c| c.jitter(1.0));
    allowed(|c| c.jitter(0.0));
    allowed(|c| c.jitter(0.999));
}

#[test]
fn a_backoff_factor_under_one_is_refused() {
    for bad in [0.0, 0.999, -1.0, f64::NAN, f64::INFINITY] {
        refused("backoff.factor", &bad.to_string(), |c| c.backoff(bad, secs(100)));
    }
    refused("backoff.max", "10s", |c| c.open_for(secs(30)).backoff(2.0, secs(10)));
    allowed(|c| c.backoff(1.0, secs(30)));
    allowed(|c| c.backoff(f64::MAX, secs(365 * 86_400)));
}

#[test]
fn a_batch_without_a_rate_rule_is_refused() {
    refused("trial_batch", "4", |c| c.consecutive_failures(3).trial_batch(4));
    allowed(|c| c.failure_rate_above(0.5).trial_batch(4));
    allowed(|c| c.slow_call_rate_above(0.5, secs(1)).trial_batch(4));
}

#[test]
fn what_only_goes_with_something_else_is_refused_alone() {
    refused("concurrent_trials", "2", |c| {
        c.failure_rate_above(0.5).trial_batch(4).concurrent_trials(2)
    });
    refused("concurrent_trials", "2", |c| {
        c.ramp(secs(1), 0.5, 1).concurrent_trials(2)
    });
    refused("on_cancel", "SlowFailure", |c| c.on_cancel(OnCancel::SlowFailure));
}

#[test]
fn a_name_of_nothing_or_of_a_megabyte_is_refused() {
    for name in [String::new(), "x".repeat(257), "x".repeat(1 << 20)] {
        let error = Circuit::builder(name).clock(ManualClock::new()).build().unwrap_err();
        assert_eq!(error.field(), "name");
    }
    for name in ["x".repeat(256), "{} \n <b>".to_owned()] {
        let circuit = Circuit::builder(name.clone())
            .clock(ManualClock::new())
            .build()
            .unwrap();
        assert_eq!(circuit.name(), name);
    }
}

#[cfg(feature = "std")]
#[test]
fn a_coarse_clock_for_what_it_can_not_measure_is_refused() {
    use state_core::SystemClock;
    let build =
        |set: fn(CircuitBuilder) -> CircuitBuilder| set(Circuit::builder("bad")).clock(SystemClock::coarse()).build();
    if cfg!(target_os = "linux") {
        let error = build(|c| c.slow_call_rate_above(0.5, Duration::from_millis(49))).unwrap_err();
        assert_eq!(error.field(), "slow_after");
        let error = build(|c| c.window(Window::time(Duration::from_millis(999)))).unwrap_err();
        assert_eq!(error.field(), "window.time");
    }
    assert!(build(|c| c.slow_call_rate_above(0.5, Duration::from_millis(50))).is_ok());
    assert!(build(|c| c.window(Window::time(secs(1)))).is_ok());
}

#[cfg(not(feature = "std"))]
#[test]
fn without_std_a_clock_must_be_given() {
    assert_eq!(Circuit::builder("bad").build().unwrap_err().field(), "clock");
}

#[test]
fn the_extremes_that_are_allowed_work() {
    let clock = ManualClock::new();
    let circuit = Circuit::builder("extreme")
        .consecutive_failures(32_767)
        .open_for(secs(365 * 86_400))
        .backoff(f64::MAX, secs(365 * 86_400))
        .jitter(0.999)
        .max_retry_after(secs(365 * 86_400))
        .clock(clock.clone())
        .build()
        .unwrap();
    clock.advance(secs(10 * 365 * 86_400));
    for _ in 0..32_767 {
        let hint = state_core::Outcome::failure().retry_after(Duration::MAX);
        circuit.acquire().unwrap().record(hint);
    }
    assert_eq!(circuit.state(), state_core::State::Open);
    let _ = circuit.snapshot();
    clock.advance(Duration::MAX);
    let _ = (circuit.acquire().is_ok(), circuit.snapshot());
}
