//! Waiting in `poll_ready`, for limits with backpressure.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::dismiss::Dismiss;
use crate::error::Reason;
use crate::limit::Limit;
use crate::line::Key;

/// A service's own place among those who wait to be ready. It never holds a slot.
#[derive(Debug)]
pub(crate) enum Gate<T> {
    /// The limit has no backpressure.
    Off,
    /// Nothing was asked yet, or the last answer has been used up by a call.
    Idle,
    /// Not ready; woken when there is room.
    Waiting { waiting: Waiting, dismissal: Pin<Box<T>> },
    /// Ready, and so it stays until the call.
    Open,
    /// Ready, for waiting is pointless; the call is refused.
    Dismissed,
}

/// A waker in the lobby; dropped, it is taken out.
#[derive(Debug)]
pub(crate) struct Waiting {
    limit: Limit,
    key: Key,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.limit.slot().forget_gate(self.key);
    }
}

impl<T: Future<Output = ()>> Gate<T> {
    /// Whether the inner service may be asked.
    pub(crate) fn poll<D>(&mut self, limit: &Limit<D>, cx: &mut Context<'_>) -> Poll<()>
    where
        D: Dismiss<Dismissal = T>,
    {
        let key = match self {
            Self::Off | Self::Open | Self::Dismissed => return Poll::Ready(()),
            Self::Waiting { waiting, .. } => Some(waiting.key),
            Self::Idle => None,
        };
        match (limit.slot().gate(limit.stamp(), key, cx.waker()), &mut *self) {
            (None, _) => {
                // Not open yet: should the inner service not be ready, there may be no room left when it is.
                *self = Self::Idle;
                return Poll::Ready(());
            }
            (Some(key), Self::Waiting { waiting, .. }) => waiting.key = key,
            (Some(key), _) => {
                let waiting = Waiting {
                    limit: limit.plain(),
                    key,
                };
                *self = Self::Waiting {
                    waiting,
                    dismissal: Box::pin(limit.dismissal()),
                };
            }
        }
        if let Self::Waiting { dismissal, .. } = self {
            if dismissal.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            *self = Self::Dismissed;
        }
        Poll::Ready(())
    }

    #[inline]
    pub(crate) const fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    pub(crate) const fn is_dismissed(&self) -> bool {
        matches!(self, Self::Dismissed)
    }

    /// The inner service is ready as well.
    pub(crate) fn open(&mut self) {
        if matches!(self, Self::Idle) {
            *self = Self::Open;
        }
    }

    /// The call has come. Says why it is refused, if it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn pass(&mut self) -> Option<Reason> {
        match std::mem::replace(self, Self::Idle) {
            Self::Dismissed => Some(Reason::Dismissed),
            Self::Off | Self::Idle | Self::Waiting { .. } | Self::Open => None,
        }
    }
}
