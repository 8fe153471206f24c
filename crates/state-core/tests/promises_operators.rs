//! The contract, "Operators and probes": each sentence a test.

mod support;

use state_core::{Outcome, Reason, State, Window};
use support::{Bench, bench, ms, secs};

/// A circuit in each state, with something in it.
fn everywhere() -> Vec<Bench> {
    let policy = || {
        bench(|c| {
            c.consecutive_failures(3)
                .failure_rate_above(0.9)
                .open_for(secs(1))
                .backoff(2.0, secs(100))
        })
    };
    let closed = policy();
    closed.fails(2);
    let open = policy();
    open.fails(3);
    open.advance(secs(1));
    open.fails(1);
    let half_open = policy();
    half_open.fails(3);
    half_open.advance(secs(1));
    half_open.oks(1);
    let [forced, disabled, metrics] = [(); 3].map(|()| policy());
    forced.fails(2);
    forced.circuit.force_open();
    disabled.circuit.disable();
    metrics.circuit.metrics_only();
    metrics.fails(10);
    vec![closed, open, half_open, forced, disabled, metrics]
}

#[test]
fn reset_from_any_state_is_closed_with_empty_windows_backoff_forgotten_and_a_new_generation() {
    for b in everywhere() {
        let before = b.circuit.snapshot();
        b.circuit.reset();
        let seen = b.circuit.snapshot();
        assert_eq!((seen.state, seen.reason), (State::Closed, Reason::Reset), "{before:?}");
        assert_eq!((seen.calls, seen.failures, seen.consecutive_failures), (0, 0, Some(0)));
        assert_eq!((seen.generation, seen.reopenings), (before.generation + 1, 0));
        b.fails(3);
        assert_eq!(b.retry_after(), Some(secs(1)), "backoff is forgotten");
    }
}

#[test]
fn reset_while_closed_empties() {
    for window in [Window::calls(100), Window::lifetime(), Window::time(secs(10))] {
        let b = bench(|c| c.failure_rate_above(0.5).window(window).min_calls(10));
        b.fails(9);
        b.circuit.reset();
        assert_eq!(b.figures(), (0, 0, 0));
        b.fails(9);
        assert_eq!(b.state(), State::Closed, "{window:?}");
        b.fails(1);
        assert_eq!(b.state(), State::Open);
    }
}

#[test]
fn force_open_disable_and_metrics_only_from_any_state() {
    for b in everywhere() {
        b.circuit.force_open();
        assert_eq!(
            (b.state(), b.circuit.snapshot().reason),
            (State::ForcedOpen, Reason::ForcedOpen)
        );
    }
    for b in everywhere() {
        b.circuit.disable();
        assert_eq!(
            (b.state(), b.circuit.snapshot().reason),
            (State::Disabled, Reason::Disabled)
        );
    }
    for b in everywhere() {
        b.circuit.metrics_only();
        let seen = b.circuit.snapshot();
        assert_eq!(
            (seen.state, seen.reason, seen.calls),
            (State::MetricsOnly, Reason::MetricsOnly, 0)
        );
    }
}

#[test]
fn force_open_stays() {
    let b = bench(|c| c.open_for(ms(1)));
    b.circuit.force_open();
    for _ in 0..1_000 {
        b.advance(secs(1));
        assert!(!b.ok());
    }
    assert_eq!(b.state(), State::ForcedOpen);
}

#[test]
fn release_is_back_to_closed_as_reset() {
    for b in everywhere().into_iter().skip(3) {
        assert!(b.circuit.release());
        let seen = b.circuit.snapshot();
        assert_eq!((seen.state, seen.reason), (State::Closed, Reason::Released));
        assert_eq!(
            (seen.calls, seen.consecutive_failures, seen.reopenings),
            (0, Some(0), 0)
        );
    }
}

#[test]
fn release_acts_only_on_operator_states() {
    for b in everywhere().into_iter().take(3) {
        let before = b.circuit.snapshot();
        assert!(!b.circuit.release());
        assert_eq!(b.circuit.snapshot(), before);
    }
}

#[test]
fn down_opens_a_closed_or_half_open_circuit_and_holds_it_open_while_it_stays_down() {
    for b in everywhere().into_iter().take(3) {
        b.circuit.on_probe(false);
        for _ in 0..100 {
            b.advance(secs(1_000));
            assert_eq!(b.state(), State::Open);
            assert!(!b.ok());
        }
        assert_eq!((b.retry_after(), b.circuit.snapshot().next_try), (None, None));
    }
}

#[test]
fn down_holds_an_open_circuit_whose_time_has_ended_unnoticed() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)));
    b.fails(1);
    b.advance(secs(1));
    b.circuit.on_probe(false);
    assert_eq!(b.state(), State::Open);
    assert!(!b.ok());
}

#[test]
fn up_moves_open_to_half_open_at_once_where_trials_still_decide() {
    let b = bench(|c| c.open_for(secs(1_000)));
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    assert_eq!(b.state(), State::HalfOpen);
    b.oks(2);
    assert_eq!(b.state(), State::HalfOpen);
    b.oks(1);
    assert_eq!(b.state(), State::Closed);
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    b.fails(1);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn up_does_not_touch_a_closed_or_half_open_circuit() {
    let b = bench(|c| c);
    b.fails(2);
    let before = b.circuit.snapshot();
    b.circuit.on_probe(true);
    assert_eq!(b.circuit.snapshot(), before);
}

#[test]
fn only_changes_of_what_a_probe_says_act() {
    let b = bench(|c| c.open_for(secs(10)));
    b.circuit.on_probe(true);
    b.fails(5);
    b.circuit.on_probe(true);
    assert_eq!(b.state(), State::Open, "it was up before");
    b.circuit.on_probe(false);
    b.circuit.reset();
    b.circuit.on_probe(false);
    assert_eq!(b.state(), State::Closed, "an operator stands above it");
    b.circuit.on_probe(true);
    b.circuit.on_probe(false);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn a_circuit_that_trips_while_a_probe_says_down_is_held_until_it_says_up() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)));
    b.circuit.on_probe(false);
    b.circuit.reset();
    b.fails(1);
    b.advance(secs(1_000));
    assert_eq!(b.state(), State::Open);
    b.circuit.on_probe(true);
    assert_eq!(b.state(), State::HalfOpen);
}

#[test]
fn of_several_probes_any_that_is_down_holds_the_circuit_open() {
    let b = bench(|c| c);
    let links: Vec<_> = (0..5).map(|_| b.circuit.probe_link()).collect();
    for link in &links {
        link.report(false);
        link.report(false);
    }
    for link in &links {
        assert_eq!(b.state(), State::Open);
        link.report(true);
    }
    assert_eq!(b.state(), State::HalfOpen);
}

#[test]
fn a_link_that_is_dropped_while_down_lets_go_and_the_open_time_begins() {
    let b = bench(|c| c.open_for(secs(30)));
    let link = b.circuit.probe_link();
    link.report(false);
    b.advance(secs(100));
    drop(link);
    assert_eq!((b.state(), b.retry_after()), (State::Open, Some(secs(30))));
    b.advance(secs(30));
    assert_eq!(b.state(), State::HalfOpen);
    let link = b.circuit.probe_link();
    link.report(true);
    drop(link);
    assert_eq!(b.state(), State::HalfOpen);
}

#[test]
fn what_an_operator_ordered_stands_above_a_probe() {
    for (order, state) in [
        (
            state_core::Circuit::force_open as fn(&state_core::Circuit),
            State::ForcedOpen,
        ),
        (state_core::Circuit::disable, State::Disabled),
        (state_core::Circuit::metrics_only, State::MetricsOnly),
    ] {
        let b = bench(|c| c);
        order(&b.circuit);
        let generation = b.circuit.snapshot().generation;
        b.circuit.on_probe(false);
        b.circuit.on_probe(true);
        let seen = b.circuit.snapshot();
        assert_eq!((seen.state, seen.generation), (state, generation));
    }
}

#[test]
fn a_probe_that_is_down_keeps_the_level_of_backoff() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)).backoff(2.0, secs(100)));
    b.to_half_open(secs(1));
    b.call(Outcome::failure());
    assert_eq!(b.retry_after(), Some(secs(2)));
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    b.call(Outcome::failure());
    assert_eq!(b.retry_after(), Some(secs(4)));
}
