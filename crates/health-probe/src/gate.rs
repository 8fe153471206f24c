//! Who is let in, and waiting for it in `poll_ready`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::health::Health;
use crate::state::{HealthState, Standing};

/// What a layer makes of a state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door {
    pub(crate) gated: bool,
    pub(crate) admits_unknown: bool,
}

impl Door {
    #[inline]
    pub(crate) const fn admits(self, standing: Standing) -> bool {
        match standing.state() {
            HealthState::Up => true,
            HealthState::Unknown => self.admits_unknown,
            HealthState::Down => false,
        }
    }
}

/// A service's own wait for the door to open. Allocates only while it is shut.
#[derive(Default)]
pub(crate) struct Gate(Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>);

impl Gate {
    /// Whether calls are admitted. While they are not, a gated door is pending; unless the probe has ended, for then
    /// nobody would ever open it.
    pub(crate) fn poll(&mut self, door: Door, health: &Health, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if !door.admits(health.standing()) && door.gated {
                // Listen first, look again then: a change in between wakes.
                let changed = self.0.get_or_insert_with(|| Box::pin(health.changed()));
                let standing = health.standing();
                if !door.admits(standing) && standing != Standing::Ended {
                    ready!(changed.as_mut().poll(cx));
                    self.0 = None;
                    continue;
                }
            }
            self.0 = None;
            return Poll::Ready(door.admits(health.standing()));
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.0.is_some()).finish()
    }
}
