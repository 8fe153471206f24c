//! The service: passes readiness on, and starts the question.

use std::fmt;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::action::Action;
use crate::future::ResponseFuture;
use crate::layer::{Answers, Judges, Parts};

/// What [`CooldownLayer`](crate::CooldownLayer) makes of a service.
///
/// The store has to be asked before the inner service is called, so the inner service is cloned: the one that was
/// ready waits with the request, the clone takes its place.
pub struct CooldownService<S, E, R, J> {
    pub(crate) inner: S,
    pub(crate) parts: Parts<E, R, J>,
}

impl<S: Clone, E, R: Clone, J: Clone> Clone for CooldownService<S, E, R, J> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            parts: self.parts.share(),
        }
    }
}

impl<S, E, R, J> CooldownService<S, E, R, J> {
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, E, R, J, Req> Service<Req> for CooldownService<S, E, R, J>
where
    S: Service<Req> + Clone,
    E: Fn(&Req) -> Action,
    R: Answers<S::Response, S::Error>,
    J: Judges<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, Req, R, J>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.parts.refuse.error(error))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let action = (self.parts.extract)(&request);
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::new(&self.parts, action, ready, request)
    }
}

impl<S: fmt::Debug, E, R, J> fmt::Debug for CooldownService<S, E, R, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooldownService")
            .field("inner", &self.inner)
            .field("cooldown", &self.parts.cooldown)
            .finish()
    }
}
