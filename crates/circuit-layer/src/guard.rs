//! A permit on its way through a response body.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use http_outcome::{BodyGuard, Protocol};
use state_core::{Outcome, Permit};

use crate::http_classify::{ByStatus, HttpClassify, last};

/// What it counts as when a response's body is dropped before its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnBodyDrop {
    /// Nowhere (the default): a caller may stop reading when it likes, and a `HEAD` request never reads at all.
    #[default]
    Neutral,
    /// As a call that was cancelled: what the policy's [`on_cancel`](crate::Policy::on_cancel) says. So a body that
    /// hangs under a caller's timeout can count as slow.
    FollowOnCancel,
}

/// Settles a permit at the end of a body.
pub(crate) struct CircuitGuard<H = ByStatus> {
    // Taken once, by whichever comes first.
    permit: Option<Permit>,
    classify: H,
    protocol: Protocol,
    on_drop: OnBodyDrop,
    /// The body has panicked: set by whoever polled it, through a shared reference.
    panicked: AtomicBool,
}

impl<H> CircuitGuard<H> {
    pub(crate) fn new(permit: Permit, classify: H, protocol: Protocol, on_drop: OnBodyDrop) -> Self {
        Self {
            permit: Some(permit),
            classify,
            protocol,
            on_drop,
            panicked: AtomicBool::new(false),
        }
    }

    /// The body panicked, and may be dropped only after that has been caught.
    pub(crate) fn panicked(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }
}

impl<H: HttpClassify> BodyGuard for CircuitGuard<H> {
    fn ended(mut self, trailers: Option<&HeaderMap>) {
        let outcome = last(self.classify.end(self.protocol, trailers));
        if let Some(permit) = self.permit.take() {
            permit.record(outcome);
        }
    }

    fn failed(mut self) {
        let outcome = last(self.classify.body_failed(self.protocol));
        if let Some(permit) = self.permit.take() {
            permit.record(outcome);
        }
    }
}

impl<H> Drop for CircuitGuard<H> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if *self.panicked.get_mut() {
            permit.failure();
        } else if std::thread::panicking() {
            // A failure, by the permit's own rule.
            drop(permit);
        } else {
            match self.on_drop {
                OnBodyDrop::Neutral => permit.record(Outcome::neutral()),
                OnBodyDrop::FollowOnCancel => drop(permit),
            }
        }
    }
}
