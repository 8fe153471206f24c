//! The service.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::answer::Answer;
use crate::future::PoolFuture;
use crate::pool::ProviderPool;

impl<S, Req, A> Service<Req> for ProviderPool<S, Req, A>
where
    S: Service<Req> + Clone,
    A: Answer<Req, S::Response, S::Error>,
{
    type Response = A::Response;
    type Error = A::Error;
    type Future = PoolFuture<S, Req, A>;

    /// Always ready: which provider is asked, and whether that one is ready, depends on the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> PoolFuture<S, Req, A> {
        PoolFuture::new(Arc::clone(&self.shared), self.answer.clone(), request)
    }
}
