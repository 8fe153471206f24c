//! A policy for [`tower::retry`] that gets along with circuits.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::retry::Policy;
use tower::retry::budget::Budget;

use crate::retry_request::{ByClone, CloneRequest};
use crate::retry_when::{OnError, Retry, RetryWhen};

/// A policy for [`tower::retry::RetryLayer`] that never repeats a refused call.
///
/// A repetition must be worth it (`J`), the request must be one that can be made twice (`K`), attempts must be left, a
/// wait that the server asked for must not be too long, and the budget must pay. It waits longer each time, by a random
/// part less, and at least as long as the server asked. A refusal by any layer below, of this call or of a repetition, is
/// the answer.
///
/// ```
/// use circuit_layer::{BoxError, Circuit, CircuitLayer, Refused, RetryPolicy};
/// use tower::retry::RetryLayer;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// let circuit = Circuit::builder("openai").consecutive_failures(2).build()?;
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::builder().attempts(10).build()?))
///     .layer(CircuitLayer::new(circuit))
///     .service(service_fn(|(): ()| async { Err::<(), _>(BoxError::from("reset by peer")) }));
///
/// let error = client.oneshot(()).await.unwrap_err();
/// assert!(Refused::find(&*error).is_some()); // after two calls, not ten
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RetryPolicy<J = OnError, K = ByClone> {
    terms: Arc<Terms>,
    when: J,
    keep: K,
    /// How often this call has been made.
    made: u32,
}

pub(crate) struct Terms {
    pub(crate) attempts: u32,
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) jitter: f64,
    pub(crate) max_hint: Duration,
    pub(crate) random: AtomicU64,
    pub(crate) budget: Arc<dyn Budget + Send + Sync>,
}

impl<J, K> RetryPolicy<J, K> {
    pub(crate) fn new(terms: Terms, when: J, keep: K) -> Self {
        Self {
            terms: Arc::new(terms),
            when,
            keep,
            made: 0,
        }
    }
}

impl Terms {
    /// The wait before the call is made again that has been made `made` times.
    fn wait(&self, made: u32, hint: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
        let full = self.first.saturating_mul(doubled).min(self.longest);
        let wait = full.mul_f64(1.0 - self.jitter * self.random());
        wait.max(hint.unwrap_or_default())
    }

    /// A number in [0, 1), by the generator `SplitMix64` (Steele, Lea and Flood, 2014). Relaxed: any two callers get two
    /// numbers, and in which order does not matter.
    fn random(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl<Req, Res, E, J, K> Policy<Req, Res, E> for RetryPolicy<J, K>
where
    J: RetryWhen<Res, E>,
    K: CloneRequest<Req>,
{
    type Future = RetryWait;

    fn retry(&mut self, _request: &mut Req, result: &mut Result<Res, E>) -> Option<RetryWait> {
        let terms = &*self.terms;
        self.made = self.made.saturating_add(1);
        let hint = match self.when.judge(result) {
            Retry::Succeeded => {
                terms.budget.deposit();
                return None;
            }
            Retry::Never => return None,
            Retry::Again { after } => after,
        };
        // The budget comes last: what is not repeated for another reason costs it nothing.
        let repeat =
            self.made < terms.attempts && hint.is_none_or(|hint| hint <= terms.max_hint) && terms.budget.withdraw();
        repeat.then(|| RetryWait {
            sleep: sleep(terms.wait(self.made, hint)),
        })
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        self.keep.clone_request(request)
    }
}

impl<J: fmt::Debug, K: fmt::Debug> fmt::Debug for RetryPolicy<J, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("attempts", &self.terms.attempts)
            .field("when", &self.when)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The wait before a call is made again.
    ///
    /// # Panics
    ///
    /// Made by [`RetryPolicy`], which needs a tokio runtime with time.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct RetryWait {
        #[pin]
        sleep: Sleep,
    }
}

impl Future for RetryWait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}
