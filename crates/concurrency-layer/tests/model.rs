//! Random operations against a plain model of what a limiter does.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use concurrency_layer::{Acquire, Limit, Permit, Reason};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    TryAcquire,
    Acquire,
    Poll(usize),
    Cancel(usize),
    Release(usize),
    SetLimit(u32),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => Just(Op::TryAcquire),
        4 => Just(Op::Acquire),
        3 => (0..8_usize).prop_map(Op::Poll),
        2 => (0..8_usize).prop_map(Op::Cancel),
        4 => (0..8_usize).prop_map(Op::Release),
        1 => (1..6_u32).prop_map(Op::SetLimit),
    ];
    proptest::collection::vec(op, 0..80)
}

/// The limiter as a child would build it: two numbers and a list of names.
struct Model {
    limit: u32,
    in_flight: u32,
    line: VecDeque<u32>,
    granted: Vec<u32>,
    lifo: bool,
    max_waiting: usize,
}

impl Model {
    fn serve(&mut self) {
        while self.in_flight < self.limit {
            let next = if self.lifo {
                self.line.pop_back()
            } else {
                self.line.pop_front()
            };
            let Some(next) = next else { return };
            self.granted.push(next);
            self.in_flight += 1;
        }
    }

    fn give_back(&mut self) {
        self.in_flight -= 1;
        self.serve();
    }
}

fn run(ops: Vec<Op>, lifo: bool, max_waiting: u32) -> Result<(), TestCaseError> {
    let builder = Limit::fixed(2).queue(max_waiting, Duration::from_secs(60));
    let limit = if lifo { builder.lifo() } else { builder }.build().unwrap();
    let mut model = Model {
        limit: 2,
        in_flight: 0,
        line: VecDeque::new(),
        granted: Vec::new(),
        lifo,
        max_waiting: max_waiting as usize,
    };
    let mut cx = Context::from_waker(Waker::noop());
    let mut permits: Vec<Permit> = Vec::new();
    let mut waiters: Vec<(u32, Pin<Box<Acquire>>)> = Vec::new();
    let mut names = 0..;
    for op in ops {
        match op {
            Op::TryAcquire => {
                let room = model.in_flight < model.limit;
                match limit.try_acquire() {
                    Ok(permit) => {
                        prop_assert!(room);
                        permits.push(permit);
                        model.in_flight += 1;
                    }
                    Err(refused) => {
                        prop_assert!(!room);
                        prop_assert_eq!(refused.reason(), Reason::Full);
                    }
                }
            }
            Op::Acquire => {
                let mut waiter = Box::pin(limit.acquire());
                match waiter.as_mut().poll(&mut cx) {
                    Poll::Ready(Ok(permit)) => {
                        prop_assert!(model.in_flight < model.limit);
                        permits.push(permit);
                        model.in_flight += 1;
                    }
                    Poll::Ready(Err(refused)) => {
                        prop_assert!(model.in_flight >= model.limit && model.line.len() == model.max_waiting);
                        prop_assert_eq!(refused.reason(), Reason::QueueFull);
                        prop_assert_eq!(refused.waiting() as usize, model.max_waiting);
                    }
                    Poll::Pending => {
                        prop_assert!(model.in_flight >= model.limit && model.line.len() < model.max_waiting);
                        let name = names.next().unwrap();
                        model.line.push_back(name);
                        waiters.push((name, waiter));
                    }
                }
            }
            Op::Poll(at) if !waiters.is_empty() => {
                let at = at % waiters.len();
                let name = waiters[at].0;
                match waiters[at].1.as_mut().poll(&mut cx) {
                    Poll::Ready(result) => {
                        prop_assert!(model.granted.contains(&name));
                        model.granted.retain(|granted| *granted != name);
                        permits.push(result.unwrap());
                        drop(waiters.swap_remove(at));
                    }
                    Poll::Pending => prop_assert!(model.line.contains(&name)),
                }
            }
            Op::Cancel(at) if !waiters.is_empty() => {
                let (name, waiter) = waiters.swap_remove(at % waiters.len());
                drop(waiter);
                if model.granted.contains(&name) {
                    model.granted.retain(|granted| *granted != name);
                    model.give_back();
                }
                model.line.retain(|waiting| *waiting != name);
            }
            Op::Release(at) if !permits.is_empty() => {
                drop(permits.swap_remove(at % permits.len()));
                model.give_back();
            }
            Op::SetLimit(n) => {
                limit.set_limit(n).unwrap();
                model.limit = n;
                model.serve();
            }
            Op::Poll(_) | Op::Cancel(_) | Op::Release(_) => {}
        }
        prop_assert_eq!(limit.in_flight(), model.in_flight);
        prop_assert_eq!(limit.waiting() as usize, model.line.len());
        prop_assert_eq!(limit.limit(), model.limit);
    }
    drop((permits, waiters));
    prop_assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    limit.retire();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_limiter_does_what_the_model_does(ops in ops(), lifo: bool, max_waiting in 1..4_u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        run(ops, lifo, max_waiting)?;
    }
}
