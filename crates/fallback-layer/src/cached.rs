//! The step that answers with the last good answer.

use core::fmt;
use core::future::{Ready, ready};
use core::hash::Hash;
use std::sync::Arc;

use crate::{BoxError, Cause, LastGood, Step};

pub(crate) type KeyFn<Req, Key> = Arc<dyn Fn(&Req) -> Option<Key> + Send + Sync>;

/// Answers with the last good answer for the key of the request.
///
/// Made by [`FallbackLayer::cached`](crate::FallbackLayer::cached) and its siblings. It keeps a clone of each good
/// answer, so the response should be cheap to clone (an `Arc`, `Bytes`, a small struct). For streaming HTTP bodies there
/// is `cached_http`.
pub struct Cached<Req, Key, Resp> {
    key: KeyFn<Req, Key>,
    pub(crate) last_good: LastGood<Key, Resp>,
}

impl<Req, Key, Resp> Cached<Req, Key, Resp> {
    pub(crate) fn new(
        last_good: LastGood<Key, Resp>,
        key: impl Fn(&Req) -> Option<Key> + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: Arc::new(key),
            last_good,
        }
    }
}

impl<Req, Key, Resp, Kept> Step<Req, Resp, Kept> for Cached<Req, Key, Resp>
where
    Key: Hash + Eq + Send + Sync + 'static,
    Resp: Clone + Send + Sync + 'static,
{
    const LEARNS: bool = true;
    type Held = Option<Key>;
    type Future = Ready<Result<Option<Resp>, BoxError>>;

    fn hold(&self, request: &Req) -> Option<Key> {
        (self.key)(request)
    }

    fn learn(&self, key: Option<Key>, response: Resp) -> Resp {
        if let Some(key) = key.filter(|key| self.last_good.wants(key)) {
            self.last_good.store(key, response.clone());
        }
        response
    }

    fn answer(&self, key: Option<Key>, _: &Kept, _: &Cause<Resp>) -> Self::Future {
        ready(Ok(
            key.and_then(|key| self.last_good.read(&key, |answer, _| answer.clone()))
        ))
    }
}

impl<Req, Key, Resp> Clone for Cached<Req, Key, Resp> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            last_good: self.last_good.clone(),
        }
    }
}

impl<Req, Key, Resp> fmt::Debug for Cached<Req, Key, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("last_good", &self.last_good)
            .finish_non_exhaustive()
    }
}
