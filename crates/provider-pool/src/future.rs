//! The future of a call: pick, wait until ready, ask, and where that failed pick again.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::answer::Answer;
use crate::error::{DeadlinePassed, Unserved};
use crate::member::{Attempt, Came, Member, Place, Unwinding};
use crate::observe;
use crate::shared::{List, Shared};
use crate::why::Out;

pin_project! {
    /// The future of a call through a [`ProviderPool`](crate::ProviderPool).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has answered, it drops the call and gives its place back. The call counts as neither good nor bad,
    /// but when it had taken longer than usual, that much is learned of the provider's latency.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered; when a provider's call panics, which counts as a failure; when a hook or
    /// strategy panics; outside a tokio runtime with timers, when a call with a deadline is begun or nobody is ready.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct PoolFuture<S, Req, A>
    where
        S: Service<Req>,
        A: Answer<Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S::Future>,
        #[pin]
        alarm: Option<Sleep>,
        course: Course<S, Req, A>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Picking,
        Waiting,
        // The order matters: what is given up gives up its connection before its place goes to another call.
        Asking { #[pin] call: F, attempt: Option<Attempt> },
        Over,
    }
}

/// Where a call has got to.
struct Course<S, Req, A>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    shared: Arc<Shared<S, Req>>,
    answer: A,
    ask: A::Ask,
    deadline: Option<Deadline>,
    /// For the next provider; while one is being asked, a copy for the one after it.
    request: Option<Req>,
    attempts: u32,
    tried: Vec<(Arc<Member>, Out)>,
    waiting: Vec<(Arc<Member>, S)>,
    /// While some are waited for.
    wait_until: Option<Instant>,
    last: Option<Last<S::Response, S::Error>>,
    /// Who failed last, if another is to be asked.
    from: Option<(Arc<Member>, Came)>,
}

/// The clock is read for the start of a call only where it has an end.
#[derive(Clone, Copy)]
struct Deadline {
    began: Instant,
    at: Instant,
    /// Whether it is the pool's, not one that the request brought.
    of_pool: bool,
}

/// The answer of the provider that was asked last, for when there is no other.
struct Last<Res, E> {
    result: Result<Res, E>,
    by: Arc<str>,
    place: Option<Place>,
}

/// What is to be done next.
enum Step<S> {
    Ask(S, Attempt),
    /// Some are not ready, and there is no other.
    Wait,
    Nobody,
}

impl<S, Req, A> PoolFuture<S, Req, A>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    pub(crate) fn new(shared: Arc<Shared<S, Req>>, answer: A, request: Req) -> Self {
        let asked = shared.hooks.deadline.as_ref().and_then(|deadline| deadline(&request));
        let deadline = if asked.is_some() || shared.rules.within.is_some() {
            let began = Instant::now();
            let latest = shared.rules.within.and_then(|within| began.checked_add(within));
            earlier(latest, asked).map(|at| Deadline {
                began,
                at,
                of_pool: latest == Some(at),
            })
        } else {
            None
        };
        Self {
            state: State::Picking,
            alarm: None,
            course: Course {
                ask: A::ask(&request),
                shared,
                answer,
                deadline,
                request: Some(request),
                attempts: 0,
                tried: Vec::new(),
                waiting: Vec::new(),
                wait_until: None,
                last: None,
                from: None,
            },
        }
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl<S, Req, A> Course<S, Req, A>
where
    S: Service<Req> + Clone,
    A: Answer<Req, S::Response, S::Error>,
{
    /// The next provider that is ready.
    fn next(&mut self, cx: &mut Context<'_>) -> Step<S> {
        let shared = Arc::clone(&self.shared);
        loop {
            let list = shared.list();
            let wanted = self.request.as_ref().and_then(|request| shared.wanted(request));
            // Most calls know of none: then the look at each is left out.
            let some = !self.tried.is_empty() || !self.waiting.is_empty();
            let skip = |member: &Member| some && self.is_known(member);
            let now = Instant::now();
            let Some(at) = shared.pick(&list.members, wanted, shared.epoch.at(now), skip) else {
                return if self.waiting.is_empty() {
                    Step::Nobody
                } else {
                    Step::Wait
                };
            };
            let member = &list.members[at];
            if let Some(step) = self.approach(cx, now, member, list.services[at].clone(), &list) {
                return step;
            }
        }
    }

    fn is_known(&self, member: &Member) -> bool {
        let tried = self.tried.iter().map(|(member, _)| member);
        let waiting = self.waiting.iter().map(|(member, _)| member);
        tried.chain(waiting).any(|known| known.id == member.id)
    }

    /// Takes a place and asks the service whether it is ready. `None` to go on with the others.
    fn approach(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        member: &Arc<Member>,
        mut service: S,
        list: &List<S>,
    ) -> Option<Step<S>> {
        let Some(place) = member.enter() else {
            self.tried.push((Arc::clone(member), Out::Full));
            return None;
        };
        // Looked at again now that it counts as in flight: who drains it, and sees none, is sent none.
        if member.draining.load(Ordering::SeqCst) {
            self.tried.push((Arc::clone(member), Out::Draining));
            return None;
        }
        let attempt = Attempt::begin(place, now, self.shared.epoch, self.shared.penalty(&list.members));
        let (polled, attempt) = attempt.during(|| service.poll_ready(cx));
        match polled {
            Poll::Ready(Ok(())) => Some(Step::Ask(service, attempt)),
            Poll::Ready(Err(error)) => self.failed(Err(error), attempt).then_some(Step::Nobody),
            Poll::Pending => {
                self.waiting.push((Arc::clone(member), service));
                None
            }
        }
    }

    fn waits_on(&self) -> bool {
        self.wait_until.is_none_or(|until| Instant::now() < until)
    }

    /// When to look at all of them again, while some are waited for: a place may have come free, a circuit have closed,
    /// a provider have been added.
    fn next_look(&self) -> Instant {
        let next = Instant::now() + LOOK_AGAIN;
        self.wait_until.map_or(next, |until| next.min(until))
    }

    /// Those that were not ready, once more, then those that could not be asked before. `None` while none is.
    fn wait(&mut self, cx: &mut Context<'_>) -> Option<Step<S>> {
        let list = self.shared.list();
        for (member, service) in mem::take(&mut self.waiting) {
            let shared = Arc::clone(&self.shared);
            let wanted = self.request.as_ref().and_then(|request| shared.wanted(request));
            match member.out(wanted) {
                // The ramp has let it through once; and one that is down may be waited for as it may be picked.
                None | Some(Out::Ramp) => {}
                Some(Out::Down) if shared.ignores_health(&list.members, wanted) => {}
                Some(out) => {
                    self.tried.push((member, out));
                    continue;
                }
            }
            if let Some(step) = self.approach(cx, Instant::now(), &member, service, &list) {
                return Some(step);
            }
        }
        self.tried.retain(|(_, out)| matches!(out, Out::Failed | Out::Refused));
        match self.next(cx) {
            Step::Wait => None,
            step => Some(step),
        }
    }

    fn judge(&self, result: &Result<S::Response, S::Error>) -> Came {
        let judged = A::judge(result).into();
        match &self.shared.hooks.failure {
            Some(failure) if judged != Came::Refused => {
                if failure(result) {
                    Came::Failed
                } else {
                    Came::Served
                }
            }
            _ => judged,
        }
    }

    /// A provider has answered, or failed in readiness. `true` when that is the answer, which is then the last.
    fn failed(&mut self, result: Result<S::Response, S::Error>, attempt: Attempt) -> bool {
        let (came, attempt) = attempt.during(|| self.judge(&result));
        let Some(member) = attempt.member().map(Arc::clone) else {
            return true;
        };
        let place = attempt.settle(came);
        self.last = Some(Last {
            result,
            by: Arc::clone(&member.name),
            place,
        });
        let out = match came {
            Came::Served | Came::Cancelled => return true,
            Came::Failed => {
                self.attempts += 1;
                Out::Failed
            }
            Came::Refused => Out::Refused,
        };
        if self.request.is_none() || self.attempts >= self.shared.rules.attempts || self.is_late() {
            return true;
        }
        self.tried.push((Arc::clone(&member), out));
        self.from = Some((member, came));
        false
    }

    /// Whether the provider that is being asked has had all the time that the pool allows: then it has failed. A request may
    /// be in any hurry, and others may have used the time up.
    fn had_all_the_time(&self) -> bool {
        let first = self.tried.is_empty() && self.wait_until.is_none();
        first && self.deadline.is_some_and(|deadline| deadline.of_pool)
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline.at)
    }

    /// A copy of the request for the provider after this one, if there may be one: also after the last attempt, which is
    /// none if it is refused.
    fn copy(&self, request: &Req) -> Option<Req> {
        let others = self.shared.rules.attempts > 1 && self.shared.look(|list| list.members.len() > 1);
        let repeats = self.shared.hooks.repeats.as_ref().filter(|_| others)?;
        repeats(request)
    }

    /// The end: the last answer, or the reason why there is none.
    fn end(&mut self, late: bool, by: Option<&Arc<Member>>) -> Result<A::Response, A::Error> {
        if let Some(Last { result, by, place }) = self.last.take() {
            return A::done(result, Some(&by), place);
        }
        let unserved = if late {
            let tried = self.tried.iter().filter(|(_, out)| *out == Out::Failed);
            let asked = tried.map(|(member, _)| member).chain(by);
            let asked = asked.map(|member| Arc::clone(&member.name)).collect();
            let took = self
                .deadline
                .map_or(Duration::ZERO, |deadline| deadline.began.elapsed());
            Unserved::DeadlinePassed(DeadlinePassed::new(asked, took))
        } else {
            let wanted = self.request.as_ref().and_then(|request| self.shared.wanted(request));
            let known = |member: &Member| {
                let tried = self.tried.iter().find(|(tried, _)| tried.id == member.id);
                let waiting = self.waiting.iter().any(|(waiting, _)| waiting.id == member.id);
                tried.map(|(_, out)| *out).or(waiting.then_some(Out::NotReady))
            };
            let list = self.shared.list();
            Unserved::NoProvider(Shared::<S, Req>::nobody(&list.members, wanted, known))
        };
        observe::unserved(&unserved);
        self.answer.unserved(unserved, &self.ask)
    }
}

impl<S, Req, A> Future for PoolFuture<S, Req, A>
where
    S: Service<Req> + Clone,
    A: Answer<Req, S::Response, S::Error>,
{
    type Output = Result<A::Response, A::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let course = this.course;
        loop {
            let step = match this.state.as_mut().project() {
                StateProjection::Over => panic!("polled after it was over"),
                StateProjection::Picking => {
                    if course.is_late() {
                        this.state.set(State::Over);
                        return Poll::Ready(course.end(true, None));
                    }
                    course.next(cx)
                }
                StateProjection::Waiting => {
                    if let Some(step) = course.wait(cx) {
                        step
                    } else {
                        let Some(alarm) = this.alarm.as_mut().as_pin_mut() else {
                            return Poll::Pending;
                        };
                        ready!(alarm.poll(cx));
                        if course.waits_on() {
                            // Time to look at all of them again.
                            this.alarm.set(Some(sleep_until(course.next_look())));
                            continue;
                        }
                        let late = course.is_late();
                        this.state.set(State::Over);
                        return Poll::Ready(course.end(late, None));
                    }
                }
                StateProjection::Asking { call, attempt } => {
                    let unwinding = Unwinding(attempt);
                    let polled = call.poll(cx);
                    mem::forget(unwinding);
                    let Poll::Ready(result) = polled else {
                        let Some(alarm) = this.alarm.as_mut().as_pin_mut() else {
                            return Poll::Pending;
                        };
                        ready!(alarm.poll(cx));
                        let member = attempt.as_ref().and_then(Attempt::member).map(Arc::clone);
                        if let Some(late) = attempt.take_if(|_| course.had_all_the_time()) {
                            drop(late.settle(Came::Failed));
                        }
                        this.state.set(State::Over);
                        course.last = None;
                        return Poll::Ready(course.end(true, member.as_ref()));
                    };
                    let attempt = attempt.take().expect("an attempt lasts until it has settled");
                    // The call gives up its connection before another provider is asked.
                    this.state.set(State::Over);
                    if course.failed(result, attempt) {
                        return Poll::Ready(course.end(false, None));
                    }
                    this.state.set(State::Picking);
                    continue;
                }
            };
            match step {
                Step::Nobody => {
                    this.state.set(State::Over);
                    return Poll::Ready(course.end(false, None));
                }
                Step::Wait => {
                    let within = Instant::now().checked_add(course.shared.rules.ready_within);
                    course.wait_until = earlier(within, course.deadline.map(|deadline| deadline.at));
                    this.alarm.set(Some(sleep_until(course.next_look())));
                    this.state.set(State::Waiting);
                }
                Step::Ask(mut service, mut attempt) => {
                    let request = course.request.take().expect("there is a request until it is sent");
                    course.waiting.clear();
                    course.request = course.copy(&request);
                    // The answer before this one is not needed any more: what it holds is given back.
                    course.last = None;
                    if let Some((member, came)) = course.from.take() {
                        observe::failover(&member, came);
                    }
                    attempt.ask();
                    let (call, attempt) = attempt.during(|| service.call(request));
                    this.alarm.set(course.deadline.map(|deadline| sleep_until(deadline.at)));
                    this.state.set(State::Asking {
                        call,
                        attempt: Some(attempt),
                    });
                }
            }
        }
    }
}

impl<S, Req, A> fmt::Debug for PoolFuture<S, Req, A>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolFuture")
            .field("attempts", &self.course.attempts)
            .finish_non_exhaustive()
    }
}
