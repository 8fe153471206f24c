//! A permit: the right to make one call, and the duty to say what came of it.

use core::fmt;
use core::mem::ManuallyDrop;

use crate::circuit::Circuit;
use crate::outcome::{Kind, Outcome};
use crate::policy::OnCancel;
use crate::totals::Count;
use crate::word::Token;

/// The right to make one call. It settles exactly once: by [`success`](Self::success), [`failure`](Self::failure),
/// [`record`](Self::record), or by being dropped.
///
/// Dropped while its thread panics it is a failure. Dropped otherwise, because the caller gave up, it is what the policy's
/// [`on_cancel`](crate::Policy::on_cancel) says. A permit that outlives its generation changes nothing; one that is
/// forgotten leaves a half-open circuit a trial short until the half-open time runs out.
///
/// ```
/// use state_core::Circuit;
///
/// let circuit = Circuit::builder("doc").build()?;
/// let permit = circuit.acquire()?;
/// match "42".parse::<u32>() {
///     Ok(_) => permit.success(),
///     Err(_) => permit.failure(),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a permit that is dropped counts as a cancelled call"]
pub struct Permit {
    circuit: Circuit,
    token: Token,
    /// When it was given, in ns of the circuit's time; 0 where calls are not timed.
    started: u64,
}

impl Permit {
    #[inline]
    pub(crate) fn new(circuit: Circuit, token: Token, started: u64) -> Self {
        Self {
            circuit,
            token,
            started,
        }
    }

    /// The circuit that gave it.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// The call succeeded.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as `Circuit::acquire`")]
    pub fn success(self) {
        let permit = ManuallyDrop::new(self);
        let Circuit {
            slot,
            meta,
            incarnation,
        } = permit.circuit;
        // The healthy path: closed, the same generation, nothing that one more success would change.
        if slot.word.load().0 != permit.token.0 {
            (meta.plan.on_success)(slot, meta, incarnation, permit.token, permit.started);
        } else if slot.totals.is_kept() {
            slot.totals.add(incarnation, Count::Success);
        }
    }

    /// The call failed.
    #[inline]
    pub fn failure(self) {
        self.record(Outcome::failure());
    }

    /// The call came to `outcome`.
    #[inline]
    pub fn record(self, outcome: Outcome) {
        if outcome.kind == Kind::Success {
            return self.success();
        }
        let permit = ManuallyDrop::new(self);
        permit.circuit.settle(permit.token, permit.started, outcome, false);
    }

    #[cold]
    fn cancel(&self) {
        let plan = &self.circuit.meta.plan;
        let outcome = match plan.on_cancel {
            _ if panicking() => Outcome::failure(),
            OnCancel::Neutral => Outcome::neutral(),
            OnCancel::Failure => Outcome::failure(),
            OnCancel::SlowFailure => match plan.slow_after {
                Some(after) if plan.now().saturating_sub(self.started) >= after => Outcome::failure(),
                _ => Outcome::neutral(),
            },
        };
        self.circuit.settle(self.token, self.started, outcome, true);
    }
}

#[cfg(feature = "std")]
fn panicking() -> bool {
    std::thread::panicking()
}

#[cfg(not(feature = "std"))]
fn panicking() -> bool {
    false
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("circuit", &self.circuit.name())
            .finish_non_exhaustive()
    }
}
