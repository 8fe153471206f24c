//! What there is to compare with: a service with nothing round it, and the smallest steps that a layer could be made of.

use std::future::ready;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::case::{Case, Failed, Inner, Load, futures, services, steps};
use crate::clock;

/// On a cache line of its own, and its neighbour that processors fetch with it.
#[repr(align(128))]
#[derive(Default)]
struct Word(AtomicU64);

/// The bare service, then the steps.
#[must_use]
pub fn cases() -> Vec<Case> {
    let step = |name, make: fn(usize) -> Vec<crate::case::Worker>| Case::new(name, Load::Ok, make);
    vec![
        step("bare service", |t| services(&Inner::<0>, t)),
        Case::new("bare service", Load::Tenth, |t| services(&Inner::<10>, t)),
        step("step: acquire load", |t| {
            steps(Word::default(), |word| word.0.load(Ordering::Acquire), t)
        }),
        step("step: fetch_add", |t| {
            steps(Word::default(), |word| word.0.fetch_add(1, Ordering::AcqRel), t)
        }),
        step("step: load and compare-exchange", |t| steps(Word::default(), swap, t)),
        step("step: Arc clone and drop", |t| steps(Arc::new(0), Arc::clone, t)),
        step("step: a boxed future", |t| {
            futures(|_| black_box(Box::pin(ready(Ok::<(), Failed>(())))), t)
        }),
        step("step: std Mutex", |t| {
            steps(
                Mutex::new(0_u64),
                |mutex| *mutex.lock().unwrap_or_else(PoisonError::into_inner) += 1,
                t,
            )
        }),
        step("step: tokio Mutex", |t| {
            let mutex: &'static tokio::sync::Mutex<u64> = Box::leak(Box::default());
            let add = move |_| async move {
                *mutex.lock().await += 1;
                Ok::<(), Failed>(())
            };
            futures(add, t)
        }),
        step("step: std Instant::now", |t| steps((), |()| clock::read_std(), t)),
    ]
}

fn swap(word: &Word) {
    let mut seen = word.0.load(Ordering::Relaxed);
    while let Err(now) = word
        .0
        .compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed)
    {
        seen = now;
    }
}
