//! The plain form: any function or future through a circuit.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::circuit::Circuit;
use crate::error::CallError;
use crate::outcome::Outcome;
use crate::permit::Permit;

impl Circuit {
    /// Runs a call through the circuit: `Ok` is a success, `Err` a failure.
    ///
    /// Takes a future or a function that makes one. When the circuit refuses, the function is not called and the future
    /// not polled. The permit is asked for when the returned future is first polled.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), state_core::BuildError> {
    /// use state_core::{CallError, Circuit};
    ///
    /// async fn fetch(url: &str) -> Result<String, std::io::Error> {
    ///     Ok(format!("the page at {url}"))
    /// }
    ///
    /// let openai = Circuit::builder("openai").build()?;
    /// let url = "http://10.0.0.7/";
    /// match openai.call(|| fetch(url)).await {
    ///     Ok(page) => println!("{page}"),
    ///     Err(CallError::Refused(refused)) => println!("{refused}"),
    ///     Err(CallError::Inner(error)) => println!("failed: {error}"),
    /// }
    /// assert!(openai.call(async { fetch(url).await }).await.is_ok());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] when the circuit refuses, [`CallError::Inner`] with the error of the call itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the call counts as the policy's [`on_cancel`](crate::Policy::on_cancel) says.
    pub fn call<M, C, T, E>(&self, call: C) -> Call<C, C::Future>
    where
        C: IntoCall<M, T, E>,
    {
        Call {
            circuit: *self,
            start: Some((call, C::into_call)),
            running: None,
            permit: None,
        }
    }

    /// Runs a function through the circuit: `Ok` is a success, `Err` a failure, a panic a failure that goes on to the
    /// caller.
    ///
    /// ```
    /// use state_core::Circuit;
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// let number = circuit.call_sync(|| "42".parse::<u32>());
    /// assert_eq!(number, Ok(42));
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] when the circuit refuses, [`CallError::Inner`] with the error of the function itself.
    pub fn call_sync<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        let permit = self.acquire().map_err(CallError::Refused)?;
        let result = call();
        settle(permit, &result);
        result.map_err(CallError::Inner)
    }
}

fn settle<T, E>(permit: Permit, result: &Result<T, E>) {
    match result {
        Ok(_) => permit.success(),
        Err(_) => permit.record(Outcome::failure()),
    }
}

/// What [`Circuit::call`] takes: a future of a `Result`, or a function that makes one.
///
/// `M` tells the two apart and is inferred.
pub trait IntoCall<M, T, E> {
    /// The future.
    type Future: Future<Output = Result<T, E>>;

    /// Makes the future.
    fn into_call(self) -> Self::Future;
}

/// Marks the function form of [`IntoCall`].
#[derive(Debug)]
pub struct ByFunction;

/// Marks the future form of [`IntoCall`].
#[derive(Debug)]
pub struct ByFuture;

impl<F, Fut, T, E> IntoCall<ByFunction, T, E> for F
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Future = Fut;

    fn into_call(self) -> Fut {
        self()
    }
}

impl<Fut, T, E> IntoCall<ByFuture, T, E> for Fut
where
    Fut: Future<Output = Result<T, E>>,
{
    type Future = Fut;

    fn into_call(self) -> Fut {
        self
    }
}

pin_project! {
    /// A call on its way. See [`Circuit::call`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Call<C, F> {
        circuit: Circuit,
        start: Option<(C, fn(C) -> F)>,
        #[pin]
        running: Option<F>,
        permit: Option<Permit>,
    }
}

impl<C, F, T, E> Future for Call<C, F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, CallError<E>>;

    /// # Panics
    ///
    /// When it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // The permit stands on the stack while the call runs, so that a panic drops it while the thread panics, and not
        // when somebody who has caught the panic drops this future.
        let mut permit = this.permit.take();
        if let Some((call, start)) = this.start.take() {
            permit = Some(this.circuit.acquire().map_err(CallError::Refused)?);
            this.running.set(Some(start(call)));
        }
        let running = this
            .running
            .as_mut()
            .as_pin_mut()
            .expect("a call is not polled after it was ready");
        let Poll::Ready(result) = running.poll(cx) else {
            *this.permit = permit;
            return Poll::Pending;
        };
        if let Some(permit) = permit {
            settle(permit, &result);
        }
        this.running.set(None);
        Poll::Ready(result.map_err(CallError::Inner))
    }
}

impl<C, F> core::fmt::Debug for Call<C, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Call")
            .field("circuit", &self.circuit.name())
            .finish_non_exhaustive()
    }
}
