//! Observers that misbehave. In a process of its own, as all circuits share the thread that delivers.
#![cfg(feature = "std")]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use state_core::{Event, State};
use support::{bench, secs, told::Told};

/// The tests here block the thread that delivers, one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_slow_observer_delays_no_call() {
    let _alone = alone();
    let (told, hears) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let b = bench(|c| {
        c.consecutive_failures(1)
            .trials(1)
            .open_for(secs(1))
            .observer(move |_: &Event| {
                told.send(()).unwrap();
                let _ = wait.lock().unwrap().recv();
            })
    });
    b.fails(1);
    // The observer is in the middle of its work, and stays there.
    hears.recv().unwrap();
    for _ in 0..1_000 {
        b.advance(secs(1));
        b.oks(1);
        assert_eq!(b.state(), State::Closed);
        b.oks(10);
        b.fails(1);
        assert!(!b.ok());
    }
    assert!(!state_core::flush_events(Duration::from_millis(20)));
    drop(go_on);
    assert!(state_core::flush_events(Duration::from_secs(30)));
    assert_eq!(hears.try_iter().count(), 3_000, "each of the transitions in the end");
    assert_eq!(state_core::lost_events(), 0);
}

#[test]
fn a_panicking_observer_is_caught_counted_and_harms_nobody() {
    let _alone = alone();
    std::panic::set_hook(Box::new(|_| {}));
    let told = Told::default();
    let b = bench(|c| {
        c.consecutive_failures(1)
            .observer(|_: &Event| panic!("an observer panics"))
            .observer(told.observer())
    });
    for _ in 0..10 {
        b.fails(1);
        assert_eq!(b.state(), State::Open);
        b.circuit.reset();
        b.oks(1);
    }
    assert_eq!(told.events().len(), 20, "the observer after it hears everything");
    let _ = std::panic::take_hook();
    assert_eq!(b.circuit.snapshot().observer_panics, 20);
}

#[test]
fn an_observer_may_use_the_circuit_it_hears_of() {
    let _alone = alone();
    let b = bench(|c| {
        c.consecutive_failures(1).observer(|event: &Event| {
            let Event::Transition(event) = event else { return };
            if event.to == State::Open {
                event.circuit.reset();
            }
            let _ = event.circuit.snapshot();
            event.circuit.observe(|_: &Event| {});
        })
    });
    b.fails(1);
    for _ in 0..3 {
        assert!(state_core::flush_events(Duration::from_secs(30)));
    }
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn the_memory_of_a_retired_circuit_tells_its_observers_nothing_of_the_next() {
    let _alone = alone();
    let told = Told::default();
    let b = bench(|c| c.consecutive_failures(77).observer(told.observer()));
    b.circuit.force_open();
    assert!(b.circuit.retire());
    let next = bench(|c| c.consecutive_failures(78));
    next.circuit.force_open();
    next.circuit.release();
    let seen: Vec<_> = told.transitions().iter().map(|t| t.to).collect();
    assert_eq!(seen, [State::ForcedOpen, State::Retired]);
}

#[test]
fn who_panics_over_a_retired_circuit_is_not_counted_in_the_next_one_in_its_memory() {
    let _alone = alone();
    std::panic::set_hook(Box::new(|_| {}));
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let b = bench(|c| {
        c.consecutive_failures(79).observer(move |_: &Event| {
            let _ = wait.lock().unwrap_or_else(PoisonError::into_inner).recv();
            panic!("an observer panics late");
        })
    });
    b.circuit.force_open();
    let generation = b.circuit.snapshot().generation;
    assert!(b.circuit.retire());
    let next = bench(|c| c.consecutive_failures(80));
    assert_eq!(next.circuit.snapshot().generation, generation + 2, "the same memory");
    drop(go_on);
    assert!(state_core::flush_events(Duration::from_secs(30)));
    let _ = std::panic::take_hook();
    assert_eq!(next.circuit.snapshot().observer_panics, 0);
}
