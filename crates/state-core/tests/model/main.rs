//! The breaker against a plain reference, over random policies and random operations.
//!
//! `reference.rs` is written from the contract alone: lists instead of rings, one thought after the other instead of
//! packed words. `run.rs` drives both with the same operations and compares state, snapshot, refusals and totals after
//! each. A run that differs is cut down to few operations and printed with the seed that makes it again.

mod dice;
mod policy;
mod reference;
mod run;

use std::collections::BTreeSet;

use run::{Operation, first_difference};

/// Each circuit lives through so many operations; a reset or a release starts a sequence anew about every 30.
const OPERATIONS: usize = 900;

fn explore(seeds: std::ops::Range<u64>) {
    let mut reasons = BTreeSet::new();
    for seed in seeds {
        let policy = policy::Plan::random(&mut dice::Dice::new(seed));
        let operations = run::random_operations(&mut dice::Dice::new(seed ^ 0x5eed_5eed), OPERATIONS);
        if let Err(first) = first_difference(&policy, &operations, &mut reasons) {
            let operations = shrink(&policy, operations);
            // What depends on more than the seed (chance, the past of a slot) may not come again.
            let last = first_difference(&policy, &operations, &mut reasons)
                .err()
                .unwrap_or_else(|| "which did not come again".to_owned());
            let lines: Vec<_> = operations.iter().map(|operation| format!("{operation:?}")).collect();
            let lines = lines.join("\n");
            panic!("seed {seed}\n{policy:?}\n{lines}\n{last}\n(before shrinking: {first})");
        }
    }
    // Every way from state to state was gone, but for retiring.
    assert_eq!(reasons.len(), 20, "{reasons:?}");
}

/// Leaves out what can be left out, in ever smaller pieces.
fn shrink(policy: &policy::Plan, mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut size = operations.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < operations.len() {
            let mut fewer = operations.clone();
            fewer.drain(at..(at + size).min(operations.len()));
            if first_difference(policy, &fewer, &mut BTreeSet::new()).is_err() {
                operations = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    operations
}

// Two tests, so that both cores have something to do: together over 100,000 sequences.

#[test]
fn the_breaker_does_what_the_reference_does() {
    explore(0..1_800);
}

#[test]
fn the_breaker_does_what_the_reference_does_with_other_seeds() {
    explore(1_000_000..1_001_800);
}
