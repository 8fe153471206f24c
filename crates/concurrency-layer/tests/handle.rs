//! The handle: what it counts, what it changes, what it says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use concurrency_layer::{Limit, Overloaded, Reason};
use state_core::Refusal;

#[test]
fn at_most_n_are_in_flight_over_all_copies() {
    let limit = Limit::fixed(3).build().unwrap();
    let copy = limit;
    let permits = [
        limit.try_acquire().unwrap(),
        copy.try_acquire().unwrap(),
        limit.try_acquire().unwrap(),
    ];
    assert_eq!(
        (limit.in_flight(), copy.in_flight(), limit.limit(), limit.waiting()),
        (3, 3, 3, 0)
    );
    let overloaded = copy.try_acquire().unwrap_err();
    assert_eq!(overloaded.reason(), Reason::Full);
    assert_eq!(
        (overloaded.in_flight(), overloaded.limit(), overloaded.waiting()),
        (3, 3, 0)
    );
    drop(permits);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn without_a_queue_acquire_is_refused_at_once() {
    let limit = Limit::fixed(1).build().unwrap();
    let _permit = limit.acquire().await.unwrap();
    assert_eq!(limit.acquire().await.unwrap_err().reason(), Reason::Full);
    assert_eq!(limit.call(|| async { 1 }).await.unwrap_err().reason(), Reason::Full);
}

#[tokio::test]
async fn call_runs_with_a_slot_and_gives_it_back() {
    let limit = Limit::fixed(1).build().unwrap();
    assert_eq!(limit.call(|| async { limit.in_flight() }).await, Ok(1));
    assert_eq!(limit.in_flight(), 0);
    assert!(
        tokio::spawn(async move { limit.call(|| async { panic!("inside") }).await })
            .await
            .unwrap_err()
            .is_panic()
    );
    assert_eq!(limit.in_flight(), 0);
}

#[test]
fn shrinking_never_over_admits() {
    let limit = Limit::fixed(4).build().unwrap();
    let mut permits: Vec<_> = (0..4).map(|_| limit.try_acquire().unwrap()).collect();
    limit.set_limit(2).unwrap();
    assert_eq!((limit.in_flight(), limit.limit()), (4, 2));
    for in_flight in [3, 2] {
        permits.pop();
        assert_eq!(limit.in_flight(), in_flight);
        assert_eq!(limit.try_acquire().unwrap_err().reason(), Reason::Full);
    }
    permits.pop();
    permits.push(limit.try_acquire().unwrap());
    assert_eq!(limit.in_flight(), 2);
}

#[tokio::test]
async fn growing_lets_in_who_waits() {
    let limit = Limit::fixed(1).queue(10, Duration::from_secs(2)).build().unwrap();
    let _held = limit.try_acquire().unwrap();
    let waiters: Vec<_> = (0..3).map(|_| tokio::spawn(limit.acquire())).collect();
    tokio::task::yield_now().await;
    assert_eq!(limit.waiting(), 3);
    limit.set_limit(3).unwrap();
    assert_eq!((limit.in_flight(), limit.waiting()), (3, 1));
    for waiter in waiters {
        drop(waiter.await.unwrap().unwrap());
    }
    assert_eq!(limit.in_flight(), 1);
}

#[test]
fn set_limit_refuses_what_build_refuses() {
    let limit = Limit::fixed(2).name("openai").build().unwrap();
    for wrong in [0, 1 << 23, u32::MAX] {
        let error = limit.set_limit(wrong).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(r#"limit "openai": limit = {wrong} is not allowed; set it to 1 to 8388607"#)
        );
        assert_eq!(limit.limit(), 2);
    }
    limit.set_limit((1 << 23) - 1).unwrap();
    assert_eq!(limit.limit(), 8_388_607);
}

#[test]
fn a_refusal_is_found_through_any_chain_and_says_it_once() {
    let limit = Limit::fixed(1)
        .name("openai")
        .retry_after(Duration::from_millis(2_500))
        .build()
        .unwrap();
    let _permit = limit.try_acquire().unwrap();
    let overloaded = limit.try_acquire().unwrap_err();
    assert_eq!(
        overloaded.to_string(),
        r#"limit "openai" is full: 1 of 1 in flight; try again in 2.5 s"#
    );
    let wrapped = std::io::Error::other(overloaded);
    let found = Overloaded::find(&wrapped).expect("in the chain");
    assert_eq!(
        (found.limit_name(), found.retry_after()),
        ("openai", Some(Duration::from_millis(2_500)))
    );
    let mark = Refusal::find(&wrapped).expect("the mark of a refusal");
    assert_eq!(mark.retry_after(), Some(Duration::from_millis(2_500)));
    assert!(!overloaded.to_string().contains(&mark.to_string()));
    assert!(Overloaded::find(&std::io::Error::other("something else")).is_none());
}

#[test]
fn names_are_data_and_never_break_a_line() {
    let limit = Limit::fixed(1).name("a\nb\"c").build().unwrap();
    let _permit = limit.try_acquire().unwrap();
    let said = limit.try_acquire().unwrap_err().to_string();
    assert!(said.starts_with(r#"limit "a\nb\"c" is full"#), "{said}");
}

#[tokio::test]
async fn a_retired_limit_refuses_and_dismisses_who_waits() {
    let limit = Limit::fixed(1)
        .name("old")
        .queue(10, Duration::from_secs(2))
        .build()
        .unwrap();
    let permit = limit.try_acquire().unwrap();
    let waiter = tokio::spawn(limit.acquire());
    tokio::task::yield_now().await;
    assert!(limit.retire());
    assert!(!limit.retire());
    let overloaded = waiter.await.unwrap().unwrap_err();
    assert_eq!((overloaded.reason(), overloaded.retry_after()), (Reason::Retired, None));
    assert_eq!(overloaded.to_string(), r#"limit "old" is retired"#);
    assert_eq!(limit.try_acquire().unwrap_err().reason(), Reason::Retired);
    assert_eq!(limit.acquire().await.unwrap_err().reason(), Reason::Retired);
    assert!(limit.set_limit(5).is_err());
    assert_eq!(
        (limit.in_flight(), limit.limit(), limit.waiting(), limit.is_retired()),
        (0, 0, 0, true)
    );
    drop(permit);
}

#[test]
fn a_retired_limit_is_no_longer_among_all() {
    let limit = Limit::fixed(1).name("listed").build().unwrap();
    let listed = || Limit::all().iter().filter(|limit| limit.name() == "listed").count();
    assert_eq!(listed(), 1);
    limit.retire();
    assert_eq!(listed(), 0);
}

#[tokio::test]
async fn a_slot_granted_at_the_very_moment_of_a_dismissal_is_kept() {
    // The dismissal gives back the slot that is waited for, and then says that waiting is pointless.
    let held = Arc::new(Mutex::new(None));
    let gives_back = Arc::clone(&held);
    let limit = Limit::fixed(1)
        .queue(10, Duration::from_secs(2))
        .dismiss_when(move || {
            let held = Arc::clone(&gives_back);
            async move { drop(held.lock().unwrap().take()) }
        })
        .build()
        .unwrap();
    *held.lock().unwrap() = Some(limit.try_acquire().unwrap());
    let permit = limit.acquire().await.expect("granted before it was dismissed");
    assert_eq!((limit.in_flight(), limit.waiting()), (1, 0));
    // Now the dismissal has nothing to give back.
    assert_eq!(limit.acquire().await.unwrap_err().reason(), Reason::Dismissed);
    drop(permit);
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}
