//! A layer that is there for good.

use core::fmt;

use tower_layer::Layer;

use crate::shared::{Handle, Shared};
use crate::{Fallback, FallbackLayer};

/// A [`FallbackLayer`] whose settings are never given back to the allocator, so that calls need not count who still uses
/// them; made by [`FallbackLayer::leak`].
///
/// It is a plain reference, and `Copy`.
pub struct LeakedLayer<Req, Resp: 'static, C: 'static, K: 'static> {
    shared: &'static Shared<Resp, C, K>,
    request: core::marker::PhantomData<fn(Req)>,
}

impl<Req, Resp, C, K> FallbackLayer<Req, Resp, C, K> {
    /// Makes a layer whose settings (steps, caches) stay for as long as the program runs. For layers that are made once, at
    /// the start: it saves a call that succeeds its one reference count, which is most of what the layer costs it.
    ///
    /// ```
    /// use fallback_layer::FallbackLayer;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let layer = FallbackLayer::new().respond(|_, _| "sorry").leak();
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(|_: ()| async { Err::<&str, _>("down") }));
    /// assert_eq!(service.oneshot(()).await.unwrap(), "sorry");
    /// # }
    /// ```
    #[must_use = "a layer does nothing until it is put round a service"]
    pub fn leak(self) -> LeakedLayer<Req, Resp, C, K>
    where
        Resp: 'static,
        C: 'static,
        K: 'static,
    {
        let shared = Shared {
            chain: self.chain,
            keep: self.keep,
            rules: self.rules,
        };
        LeakedLayer {
            shared: Box::leak(Box::new(shared)),
            request: core::marker::PhantomData,
        }
    }
}

impl<S, Req, Resp, C, K> Layer<S> for LeakedLayer<Req, Resp, C, K> {
    type Service = Fallback<S, Req, Resp, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, Handle::Leaked(self.shared))
    }
}

impl<Req, Resp, C, K> Clone for LeakedLayer<Req, Resp, C, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Req, Resp, C, K> Copy for LeakedLayer<Req, Resp, C, K> {}

impl<Req, Resp, C: fmt::Debug, K> fmt::Debug for LeakedLayer<Req, Resp, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakedLayer")
            .field("chain", &self.shared.chain)
            .finish_non_exhaustive()
    }
}
