//! What a call may allocate, as a gate.

use fusebox_benches::alloc::{Counting, made};
use fusebox_benches::case::Load;
use fusebox_benches::{cases, measure, ours};

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn an_admitted_call_allocates_nothing_under_any_policy() {
    for case in ours() {
        if matches!(case.load, Load::Ok | Load::Tenth) {
            let allocations = measure::allocations(&case);
            assert!(allocations == 0.0, "{case:?} allocates {allocations} times a call");
        }
    }
}

#[test]
fn a_refusal_allocates_at_most_the_box_of_its_error() {
    for case in ours() {
        let allowed = match case.load {
            Load::Refused => 1.0,
            Load::Answered => 0.0,
            _ => continue,
        };
        let allocations = measure::allocations(&case);
        assert!(allocations <= allowed, "{case:?} allocates {allocations} times a call");
    }
}

#[test]
fn every_case_comes_to_what_its_load_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    for case in cases() {
        let mut workers = (case.make)(2);
        for worker in &mut workers {
            assert_eq!(worker(1000), case.load.ok_of(1000), "{case:?}");
        }
    }
}

#[test]
fn the_counter_sees_a_box_and_what_the_peers_allocate() {
    let before = made();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(made() - before, 1);
    let boxed = cases()
        .into_iter()
        .find(|case| case.name.contains("boxed future"))
        .expect("there is one");
    assert!(measure::allocations(&boxed) > 0.99);
}
