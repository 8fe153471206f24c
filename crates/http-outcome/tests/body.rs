//! A guard's way to the end of a body.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use http_outcome::{BodyGuard, GuardedBody, Hold};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Pending,
    Data,
    Trailers,
    Error,
    Panic,
}

#[derive(Debug, PartialEq, Eq)]
struct Broken(usize);

/// Plays a script, then ends. It bears no poll after its end.
#[derive(Debug)]
struct Script {
    steps: VecDeque<Step>,
    /// Whether it knows its end from the last step on, as a body of known length does.
    knows_end: bool,
    over: bool,
    played: usize,
}

impl Script {
    fn new(steps: &[Step]) -> Self {
        Self {
            steps: steps.iter().copied().collect(),
            knows_end: false,
            over: false,
            played: 0,
        }
    }

    fn knowing_its_end(steps: &[Step]) -> Self {
        Self {
            knows_end: true,
            ..Self::new(steps)
        }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        assert!(!self.over, "polled after the end");
        self.played += 1;
        match self.steps.pop_front() {
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Data) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data"))))),
            Some(Step::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
            Some(Step::Error) => {
                self.over = true;
                Poll::Ready(Some(Err(Broken(self.played))))
            }
            Some(Step::Panic) => panic!("the body panics"),
            None => {
                self.over = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(4 * self.steps.iter().filter(|step| **step == Step::Data).count() as u64)
    }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http_outcome::grpc::STATUS, HeaderValue::from_static("0"))])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Ended,
    EndedWithTrailers,
    Failed,
    Dropped,
    DroppedInPanic,
}

type Log = Arc<Mutex<Vec<Event>>>;

/// Writes down what happens to it. While it lives it holds a count of the log.
struct Witness {
    log: Log,
    settled: bool,
}

impl Witness {
    fn new() -> (Self, Log) {
        let log = Log::default();
        (
            Self {
                log: log.clone(),
                settled: false,
            },
            log,
        )
    }

    fn settle(&mut self, event: Event) {
        self.settled = true;
        self.log.lock().unwrap().push(event);
    }
}

impl BodyGuard for Witness {
    fn ended(mut self, with: Option<&HeaderMap>) {
        if let Some(with) = with {
            assert_eq!(with, &trailers());
            self.settle(Event::EndedWithTrailers);
        } else {
            self.settle(Event::Ended);
        }
    }

    fn failed(mut self) {
        self.settle(Event::Failed);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if !self.settled {
            let event = if std::thread::panicking() {
                Event::DroppedInPanic
            } else {
                Event::Dropped
            };
            self.settle(event);
        }
    }
}

fn events(log: &Log) -> Vec<Event> {
    log.lock().unwrap().clone()
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

fn poll<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Plays `steps` up to and with the one that should settle the guard, and checks that nothing had happened before, that
/// `wanted` has happened then, that the guard is gone though the body lives, and that nothing more happens.
fn settles_at(script: Script, polls: usize, wanted: Event) {
    let (witness, log) = Witness::new();
    let mut body = GuardedBody::new(script, witness);
    for _ in 1..polls {
        let _ = poll(&mut body);
        assert_eq!(events(&log), []);
        assert!(body.guard().is_some());
    }
    let _ = poll(&mut body);
    assert_eq!(events(&log), [wanted]);
    assert!(body.guard().is_none());
    assert_eq!(Arc::strong_count(&log), 1, "the guard is still alive");
    for _ in 0..5 {
        let _ = poll(&mut body);
    }
    drop(body);
    assert_eq!(events(&log), [wanted]);
}

#[test]
fn settles_once_on_trailers() {
    for data in 0..4 {
        let mut steps = vec![Step::Data; data];
        steps.push(Step::Trailers);
        settles_at(Script::new(&steps), data + 1, Event::EndedWithTrailers);
        settles_at(Script::knowing_its_end(&steps), data + 1, Event::EndedWithTrailers);
    }
}

#[test]
fn settles_once_on_the_end() {
    for data in 0..4 {
        settles_at(Script::new(&vec![Step::Data; data]), data + 1, Event::Ended);
    }
}

#[test]
fn settles_once_when_the_body_says_that_this_frame_was_the_last() {
    for data in 1..4 {
        settles_at(Script::knowing_its_end(&vec![Step::Data; data]), data, Event::Ended);
    }
}

#[test]
fn settles_once_on_an_error_at_each_frame() {
    for data in 0..4 {
        let mut steps = vec![Step::Data; data];
        steps.push(Step::Error);
        settles_at(Script::new(&steps), data + 1, Event::Failed);
        settles_at(Script::knowing_its_end(&steps), data + 1, Event::Failed);
    }
}

#[test]
fn an_error_after_the_trailers_does_not_settle_again() {
    settles_at(
        Script::new(&[Step::Data, Step::Trailers, Step::Error]),
        2,
        Event::EndedWithTrailers,
    );
}

#[test]
fn a_pending_poll_changes_nothing() {
    settles_at(
        Script::new(&[Step::Pending, Step::Data, Step::Pending, Step::Pending]),
        5,
        Event::Ended,
    );
}

#[test]
fn a_body_that_has_ended_before_it_began_settles_at_once() {
    let (witness, log) = Witness::new();
    let body = GuardedBody::new(Empty::<Bytes>::new(), witness);
    assert_eq!(events(&log), [Event::Ended]);
    assert_eq!(Arc::strong_count(&log), 1);
    drop(body);
    assert_eq!(events(&log), [Event::Ended]);
}

#[test]
fn a_body_dropped_early_drops_its_guard_and_tells_it_nothing() {
    for polls in 0..3 {
        let (witness, log) = Witness::new();
        let mut body = GuardedBody::new(Script::new(&[Step::Data, Step::Pending, Step::Data]), witness);
        for _ in 0..polls {
            let _ = poll(&mut body);
        }
        assert_eq!(events(&log), []);
        drop(body);
        assert_eq!(events(&log), [Event::Dropped]);
    }
}

#[test]
fn the_body_is_dropped_before_its_guard() {
    struct Last(Log);
    impl Drop for Last {
        fn drop(&mut self) {
            // Whether the guard is still unsettled when the body goes.
            assert_eq!(events(&self.0), []);
        }
    }
    impl Body for Last {
        type Data = Bytes;
        type Error = Broken;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            Poll::Pending
        }
    }
    let (witness, log) = Witness::new();
    drop(GuardedBody::new(Last(log.clone()), witness));
    assert_eq!(events(&log), [Event::Dropped]);
}

#[test]
fn a_body_that_panics_drops_its_guard_while_unwinding() {
    let (witness, log) = Witness::new();
    let mut body = GuardedBody::new(Script::new(&[Step::Data, Step::Panic]), witness);
    let _ = poll(&mut body);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _ = poll(&mut body);
    }));
    assert!(panicked.is_err());
    assert_eq!(events(&log), [Event::DroppedInPanic]);
}

#[test]
fn a_guard_that_panics_is_not_settled_twice() {
    struct Panics(Log);
    impl BodyGuard for Panics {
        fn ended(self, _: Option<&HeaderMap>) {
            self.0.lock().unwrap().push(Event::Ended);
            panic!("the guard panics");
        }
        fn failed(self) {}
    }
    let log = Log::default();
    let mut body = GuardedBody::new(Script::new(&[]), Panics(log.clone()));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut body))).is_err());
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    drop(body);
    assert_eq!(events(&log), [Event::Ended]);
    assert_eq!(Arc::strong_count(&log), 1);
}

#[test]
fn polls_after_the_end_or_an_error_are_answered_with_the_end() {
    for steps in [&[][..], &[Step::Error]] {
        let mut body = GuardedBody::new(Script::new(steps), Hold(()));
        let _ = poll(&mut body);
        for _ in 0..3 {
            assert!(matches!(poll(&mut body), Poll::Ready(None)));
        }
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}

#[test]
fn frames_errors_size_hint_and_end_of_stream_pass_through() {
    let script = Script::knowing_its_end(&[Step::Data, Step::Data, Step::Error]);
    let mut body = GuardedBody::new(script, Hold(()));
    assert_eq!(body.size_hint().exact(), Some(8));
    assert!(!body.is_end_stream());
    let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else {
        panic!("no frame")
    };
    assert_eq!(frame.into_data().unwrap(), "data");
    assert_eq!(body.size_hint().exact(), Some(4));
    let _ = poll(&mut body);
    let Poll::Ready(Some(Err(error))) = poll(&mut body) else {
        panic!("no error")
    };
    assert_eq!(error, Broken(3));

    let mut body = GuardedBody::new(Script::knowing_its_end(&[Step::Data]), Hold(()));
    let _ = poll(&mut body);
    assert!(body.is_end_stream());
}

#[test]
fn what_is_held_is_free_at_the_end_while_the_body_is_still_held() {
    let permit = Arc::new(());
    let mut body = GuardedBody::new(Full::new(Bytes::from_static(b"x")), Hold(permit.clone()));
    assert_eq!(Arc::strong_count(&permit), 2);
    let _ = poll(&mut body);
    assert_eq!(Arc::strong_count(&permit), 1);
    drop(body);

    let early = GuardedBody::new(Full::new(Bytes::from_static(b"x")), Hold(permit.clone()));
    drop(early);
    assert_eq!(Arc::strong_count(&permit), 1);
}

#[test]
fn a_guard_that_is_taken_out_is_the_callers() {
    let (witness, log) = Witness::new();
    let (body, guard) = GuardedBody::new(Script::new(&[]), witness).into_parts();
    drop(body);
    assert_eq!(events(&log), []);
    guard.unwrap().failed();
    assert_eq!(events(&log), [Event::Failed]);
}

#[tokio::test]
async fn an_unguarded_body_reads_like_any_other() {
    let body: GuardedBody<_, Witness> = GuardedBody::unguarded(Script::new(&[Step::Data, Step::Data, Step::Trailers]));
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers()));
    assert_eq!(collected.to_bytes(), "datadata");

    let made: GuardedBody<Full<Bytes>, Witness> = Bytes::from_static(b"made").into();
    assert_eq!(made.collect().await.unwrap().to_bytes(), "made");
    let made = GuardedBody::<Full<Bytes>, Witness>::default();
    assert!(made.is_end_stream());
}

#[test]
fn bodies_are_send_sync_and_unpin_where_their_parts_are() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<GuardedBody<Full<Bytes>, Hold<Arc<()>>>>();
    check::<GuardedBody<Full<Bytes>, Witness>>();
    // The guard is never pinned, so it need not be movable when pinned.
    check::<GuardedBody<Full<Bytes>, Hold<std::marker::PhantomPinned>>>();
    check::<http_outcome::RefusalResponse>();
    check::<http_outcome::Judged>();
    check::<http_outcome::Protocol>();
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Pending),
        Just(Step::Data),
        Just(Step::Data),
        Just(Step::Trailers),
        Just(Step::Error)
    ]
}

proptest! {
    #[test]
    fn whatever_a_body_does_its_guard_settles_exactly_once(
        steps in proptest::collection::vec(any_step(), 0..12),
        knows_end: bool,
        polls in 0_usize..16,
    ) {
        let mut wanted = (knows_end && steps.is_empty()).then_some(Event::Ended);
        for poll in 0..polls {
            if wanted.is_some() {
                break;
            }
            let last = knows_end && poll + 1 == steps.len();
            wanted = match steps.get(poll) {
                Some(Step::Trailers) => Some(Event::EndedWithTrailers),
                Some(Step::Error) => Some(Event::Failed),
                Some(Step::Data) if last => Some(Event::Ended),
                Some(_) => None,
                None => Some(Event::Ended),
            };
        }

        let (witness, log) = Witness::new();
        let mut body = GuardedBody::new(Script { knows_end, ..Script::new(&steps) }, witness);
        for _ in 0..polls {
            let _ = poll(&mut body);
        }
        prop_assert_eq!(events(&log), wanted.into_iter().collect::<Vec<_>>());
        drop(body);
        prop_assert_eq!(events(&log), [wanted.unwrap_or(Event::Dropped)]);
        prop_assert_eq!(Arc::strong_count(&log), 1);
    }
}
