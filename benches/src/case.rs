//! One thing to measure.

use std::fmt;
use std::future::{Ready, ready};
use std::hint::{black_box, spin_loop};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tower::Service;

/// Makes so many calls and says how many came back `Ok`.
pub type Worker = Box<dyn FnMut(u64) -> u64 + Send>;

/// What the calls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// All succeed.
    Ok,
    /// Every tenth fails.
    Tenth,
    /// All are refused with an error.
    Refused,
    /// All are refused, and answered.
    Answered,
}

impl Load {
    /// How many of so many calls come back `Ok`.
    #[must_use]
    pub fn ok_of(self, calls: u64) -> u64 {
        match self {
            Self::Ok | Self::Answered => calls,
            Self::Tenth => calls - calls / 10,
            Self::Refused => 0,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Tenth => "10 % fail",
            Self::Refused => "refused",
            Self::Answered => "refused, answered",
        })
    }
}

/// A load on a stack.
pub struct Case {
    /// What stands round the service, and whose it is.
    pub name: &'static str,
    /// What the calls come to.
    pub load: Load,
    /// Calls to make before it is measured.
    pub warm: u64,
    /// How many calls to measure, where more would change what is measured.
    pub calls: Option<u64>,
    /// Makes a worker for each thread, all sharing one stack.
    pub make: Box<dyn Fn(usize) -> Vec<Worker>>,
}

impl Case {
    /// A case whose workers come from `make`.
    pub fn new(name: &'static str, load: Load, make: impl Fn(usize) -> Vec<Worker> + 'static) -> Self {
        Self {
            name,
            load,
            warm: 1000,
            calls: None,
            make: Box::new(make),
        }
    }

    /// For a window that grows: so many calls in it at first, and few more.
    #[must_use]
    pub fn holding(mut self, calls: u64) -> Self {
        self.warm = calls;
        self.calls = Some(50);
        self
    }

    /// The name by which a single case is run.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.name, self.load)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// What the inner service fails with. It has no size: boxing it allocates nothing, so an allocation in a row is the layer's.
#[derive(Debug, Clone, Copy)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

/// What the n-th call comes to.
///
/// # Errors
///
/// Every `EVERY`-th, none for 0.
#[inline]
pub const fn answer<const EVERY: u64>(n: u64) -> Result<(), Failed> {
    if EVERY > 0 && n % EVERY == EVERY - 1 {
        Err(Failed)
    } else {
        Ok(())
    }
}

/// A service that is always ready and whose future is ready; every `EVERY`-th call fails.
#[derive(Debug, Clone, Copy)]
pub struct Inner<const EVERY: u64>;

impl<const EVERY: u64> Service<u64> for Inner<EVERY> {
    type Response = ();
    type Error = Failed;
    type Future = Ready<Result<(), Failed>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, n: u64) -> Self::Future {
        ready(answer::<EVERY>(n))
    }
}

/// Polls a future to its end: 1 if it is `Ok`. A macro, so that the future is made where it is pinned: a function would
/// have it moved there, and a copy of the layer's future would be measured with it.
macro_rules! complete {
    ($future:expr, $cx:expr) => {{
        let mut future = pin!($future);
        loop {
            if let Poll::Ready(result) = future.as_mut().poll($cx) {
                break u64::from(black_box(result.is_ok()));
            }
            spin_loop();
        }
    }};
}

/// Workers that drive clones of a service.
pub fn services<S>(service: &S, threads: usize) -> Vec<Worker>
where
    S: Service<u64> + Clone + Send + 'static,
{
    let worker = |mut service: S| {
        move |calls: u64| {
            let mut cx = Context::from_waker(Waker::noop());
            let mut ok = 0;
            for n in 0..calls {
                while service.poll_ready(&mut cx).is_pending() {
                    spin_loop();
                }
                ok += complete!(service.call(black_box(n)), &mut cx);
            }
            ok
        }
    };
    (0..threads)
        .map(|_| Box::new(worker(service.clone())) as Worker)
        .collect()
}

/// Workers that drive the futures that a function makes.
pub fn futures<F, R, E>(make: impl Fn(u64) -> F + Copy + Send + 'static, threads: usize) -> Vec<Worker>
where
    F: Future<Output = Result<R, E>>,
{
    let worker = move |calls: u64| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut ok = 0;
        for n in 0..calls {
            ok += complete!(make(black_box(n)), &mut cx);
        }
        ok
    };
    (0..threads).map(|_| Box::new(worker) as Worker).collect()
}

/// Workers that make plain calls, which say whether they came to `Ok`.
pub fn plain(call: impl Fn(u64) -> bool + Copy + Send + 'static, threads: usize) -> Vec<Worker> {
    let worker = move |calls: u64| {
        let mut ok = 0;
        for n in 0..calls {
            ok += u64::from(black_box(call(black_box(n))));
        }
        ok
    };
    (0..threads).map(|_| Box::new(worker) as Worker).collect()
}

/// Workers that take one step on what they share.
pub fn steps<T: Sync + 'static, R>(
    value: T,
    step: impl Fn(&T) -> R + Copy + Send + 'static,
    threads: usize,
) -> Vec<Worker> {
    let value: &'static T = Box::leak(Box::new(value));
    let call = move |_| {
        black_box(step(value));
        true
    };
    plain(call, threads)
}
