//! What the tests of the contract share: a circuit on a manual clock, and short words for what calls come to.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use state_core::{Circuit, CircuitBuilder, ManualClock, Outcome, RefusalReason, State};

/// A circuit and the clock it lives by.
pub struct Bench {
    pub circuit: Circuit,
    pub clock: ManualClock,
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A millisecond less.
pub fn almost(time: Duration) -> Duration {
    time.checked_sub(ms(1)).expect("at least a millisecond")
}

/// A circuit with a clock of its own.
pub fn bench(policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) -> Bench {
    let clock = ManualClock::new();
    let circuit = policy(Circuit::builder("test"))
        .clock(clock.clone())
        .build()
        .expect("the policy can work");
    Bench { circuit, clock }
}

impl Bench {
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// One call that comes to `outcome` at once; whether it was admitted.
    pub fn call(&self, outcome: Outcome) -> bool {
        self.circuit.acquire().map(|permit| permit.record(outcome)).is_ok()
    }

    pub fn ok(&self) -> bool {
        self.call(Outcome::success())
    }

    pub fn fail(&self) -> bool {
        self.call(Outcome::failure())
    }

    pub fn oks(&self, n: usize) {
        for _ in 0..n {
            assert!(self.ok(), "a success was refused");
        }
    }

    pub fn fails(&self, n: usize) {
        for at in 0..n {
            assert!(self.fail(), "failure {at} was refused");
        }
    }

    /// One call that lasts.
    pub fn lasting(&self, time: Duration, outcome: Outcome) -> bool {
        let Ok(permit) = self.circuit.acquire() else {
            return false;
        };
        self.advance(time);
        permit.record(outcome);
        true
    }

    pub fn state(&self) -> State {
        self.circuit.state()
    }

    pub fn refusal(&self) -> RefusalReason {
        self.circuit.acquire().expect_err("the call was admitted").reason()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.circuit.acquire().expect_err("the call was admitted").retry_after()
    }

    /// Calls, failures and slow calls of the window, as the snapshot tells them.
    pub fn figures(&self) -> (u64, u64, u64) {
        let seen = self.circuit.snapshot();
        assert_eq!(seen.successes + seen.failures, seen.calls);
        (seen.calls, seen.failures, seen.slow)
    }

    /// From closed with `consecutive_failures(1)` to half-open.
    pub fn to_half_open(&self, open_for: Duration) {
        assert!(self.fail());
        assert_eq!(self.state(), State::Open);
        self.advance(open_for);
        assert_eq!(self.state(), State::HalfOpen);
    }
}

/// A clock that stands still and counts how often it is read.
#[derive(Clone, Default)]
pub struct CountedClock(std::sync::Arc<AtomicU64>);

impl CountedClock {
    pub fn reads(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl state_core::Clock for CountedClock {
    fn now_nanos(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        0
    }
}

/// What observers were told.
#[cfg(feature = "std")]
pub mod told {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use state_core::{Event, Transition};

    #[derive(Clone, Default)]
    pub struct Told(Arc<Mutex<Vec<Event>>>);

    impl Told {
        pub fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static {
            let events = Arc::clone(&self.0);
            move |event: &Event| events.lock().expect("no observer panics here").push(*event)
        }

        pub fn events(&self) -> Vec<Event> {
            assert!(state_core::flush_events(Duration::from_secs(30)));
            self.0.lock().expect("no observer panics here").clone()
        }

        pub fn transitions(&self) -> Vec<Transition> {
            let events = self.events();
            events
                .into_iter()
                .filter_map(|event| match event {
                    Event::Transition(transition) => Some(transition),
                    _ => None,
                })
                .collect()
        }
    }
}
