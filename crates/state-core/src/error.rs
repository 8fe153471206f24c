//! What can go wrong: a configuration that can't work, a call that is refused, a call that failed.

use alloc::string::String;
use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::figures::Figures;
use crate::plan::Meta;
use crate::refusal::Refusal;
use crate::state::Reason;

/// A configuration that can't work: which circuit, which field, its value, and what is allowed.
///
/// ```
/// use state_core::{Circuit, Window};
///
/// let error = Circuit::builder("openai").window(Window::calls(100)).min_calls(200).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "circuit \"openai\": min_calls = 200 is more than the window of 100 calls; set it to at most 100"
/// );
/// assert_eq!(error.field(), "min_calls");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    pub(crate) circuit: String,
    pub(crate) field: &'static str,
    pub(crate) value: String,
    pub(crate) problem: String,
}

impl BuildError {
    /// The name of the circuit.
    #[must_use]
    pub fn circuit(&self) -> &str {
        &self.circuit
    }

    /// The field that can't be as it is, named as its setter.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value it has.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is wrong with it and what is allowed, without the circuit's name, for messages that name a file and a line.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "circuit {:?}: {} = {} {}",
            self.circuit, self.field, self.value, self.problem
        )
    }
}

impl Error for BuildError {}

/// Why a circuit refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// It is open.
    Open,
    /// It is half-open, and all trials are taken.
    TrialsBusy,
    /// It is half-open, and the ramp did not let this one through.
    Ramp,
    /// An operator forced it open.
    ForcedOpen,
}

impl RefusalReason {
    /// Every reason, in a fixed order.
    pub const ALL: [Self; 4] = [Self::Open, Self::TrialsBusy, Self::Ramp, Self::ForcedOpen];

    /// The reason in `snake_case`, as logs and labels write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::TrialsBusy => "trials_busy",
            Self::Ramp => "ramp",
            Self::ForcedOpen => "forced_open",
        }
    }
}

/// A call that a circuit refused: which circuit, why, and when to try again.
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, RefusalReason};
///
/// let circuit = Circuit::builder("openai").consecutive_failures(2).open_for(Duration::from_secs(12)).build()?;
/// for _ in 0..2 {
///     circuit.acquire()?.failure();
/// }
/// let refused = circuit.acquire().unwrap_err();
/// assert_eq!(refused.circuit(), "openai");
/// assert_eq!(refused.reason(), RefusalReason::Open);
/// assert_eq!(refused.to_string(), "circuit \"openai\" is open: 2 failures in a row; next try in 12 s");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Refused {
    pub(crate) meta: &'static Meta,
    pub(crate) reason: RefusalReason,
    pub(crate) opened_by: Reason,
    pub(crate) streak: u32,
    pub(crate) figures: Figures,
    pub(crate) mark: Refusal,
}

impl Refused {
    /// The name of the circuit.
    #[must_use]
    pub fn circuit(&self) -> &'static str {
        &self.meta.name
    }

    /// Why the call was refused.
    #[must_use]
    pub fn reason(&self) -> RefusalReason {
        self.reason
    }

    /// Why the circuit last opened.
    #[must_use]
    pub fn opened_by(&self) -> Reason {
        self.opened_by
    }

    /// The time after which another try makes sense: until the open time ends, until the trials that are out must have
    /// ended, until the ramp has ended. `None` while only a probe or an operator can end it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.mark.retry_after()
    }

    /// Looks for a refusal in `error` and in everything it names as its source.
    ///
    /// ```
    /// use state_core::{Circuit, Refused};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// circuit.force_open();
    /// let error: Box<dyn std::error::Error> = Box::new(circuit.acquire().unwrap_err());
    /// assert_eq!(Refused::find(&*error).map(|refused| refused.circuit()), Some("doc"));
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    fn cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.meta.plan.policy;
        match (self.opened_by, policy.failure_rate, policy.slow_call_rate) {
            (Reason::ConsecutiveFailures, ..) => write!(f, "{} in a row", Many(u64::from(self.streak), "failure")),
            (Reason::FailureRate, Some(rule), _) => write!(
                f,
                "failure rate {:.2} {} {:.2} over {}",
                self.figures.failure_rate().unwrap_or(0.0),
                rule.words(),
                rule.limit(),
                Many(self.figures.calls, "call")
            ),
            (Reason::SlowCallRate, _, Some(rule)) => write!(
                f,
                "slow-call rate {:.2} {} {:.2} over {}",
                self.figures.slow_rate().unwrap_or(0.0),
                rule.rate.words(),
                rule.rate.limit(),
                Many(self.figures.calls, "call")
            ),
            (Reason::Ewma, ..) => f.write_str("moving failure rate above its limit"),
            (Reason::TrialFailed, ..) => f.write_str("a trial failed"),
            (Reason::TrialSlow, ..) => f.write_str("a trial was slow"),
            (Reason::BatchFailed, ..) => write!(
                f,
                "{} and {} in a batch of {}",
                Many(self.figures.failures, "failure"),
                Many(self.figures.slow, "slow call"),
                Many(self.figures.calls, "trial")
            ),
            (Reason::RampFailed, ..) => {
                write!(
                    f,
                    "{} in {} on the way back",
                    Many(self.figures.failures, "failure"),
                    Many(self.figures.calls, "call")
                )
            }
            (Reason::HalfOpenTimedOut, ..) => f.write_str("trials did not come back"),
            (Reason::ProbeDown, ..) => f.write_str("its health probe reports down"),
            (reason, ..) => write!(f, "{reason}"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "circuit {:?} is ", self.meta.name)?;
        match self.reason {
            // What has been closed since by somebody else, more than once, has nothing left to tell.
            RefusalReason::Open if !self.opened_by.opens() => f.write_str("open")?,
            RefusalReason::Open => {
                f.write_str("open: ")?;
                self.cause(f)?;
            }
            RefusalReason::TrialsBusy => f.write_str("half-open: all trials are taken")?,
            RefusalReason::Ramp => f.write_str("half-open: only a part of the calls is let through")?,
            RefusalReason::ForcedOpen => f.write_str("forced open by an operator, until it is released")?,
        }
        match (self.reason, self.retry_after()) {
            (RefusalReason::Open | RefusalReason::TrialsBusy, Some(wait)) => {
                write!(f, "; next try in {}", Spoken(wait))
            }
            (RefusalReason::Ramp, Some(wait)) => write!(f, "; all again in {}", Spoken(wait)),
            (RefusalReason::Open, None) => f.write_str("; next try when its health probe reports up"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("circuit", &self.meta.name)
            .field("reason", &self.reason)
            .field("opened_by", &self.opened_by)
            .field("retry_after", &self.retry_after())
            .finish_non_exhaustive()
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.mark)
    }
}

/// So many of something, as people say it: 1 call, 2 calls.
struct Many(u64, &'static str);

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(n, what) = self;
        write!(f, "{n} {what}{}", if *n == 1 { "" } else { "s" })
    }
}

/// A duration as people say it: `350 ms`, `12 s`, `6 min 4 s`; rounded up.
pub(crate) struct Spoken(pub(crate) Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_nanos().div_ceil(1_000_000);
        let seconds = self.0.as_nanos().div_ceil(1_000_000_000);
        match seconds {
            _ if millis < 1_000 => write!(f, "{millis} ms"),
            ..60 => write!(f, "{seconds} s"),
            60..3_600 if seconds % 60 == 0 => write!(f, "{} min", seconds / 60),
            60..3_600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            _ if seconds % 3_600 < 60 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        }
    }
}

/// What [`Circuit::call`](crate::Circuit::call) comes to when it does not come to a value: a refusal, or the error of
/// the call itself. The type tells which.
///
/// ```
/// use state_core::{CallError, Circuit};
///
/// let circuit = Circuit::builder("doc").build()?;
/// match circuit.call_sync(|| "4x".parse::<u32>()) {
///     Ok(number) => println!("{number}"),
///     Err(CallError::Refused(refused)) => println!("not now: {refused}"),
///     Err(CallError::Inner(error)) => println!("failed: {error}"),
/// }
/// # Ok::<(), state_core::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError<E> {
    /// The circuit refused; the call was never made.
    Refused(Refused),
    /// The call was made and failed.
    Inner(E),
}

impl PartialEq for Refused {
    fn eq(&self, other: &Self) -> bool {
        self.meta.name == other.meta.name && self.reason == other.reason && self.mark == other.mark
    }
}

impl Eq for Refused {}

impl<E> CallError<E> {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Inner(_) => None,
        }
    }

    /// The error of the call itself, if it was made.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Refused(_) => None,
            Self::Inner(error) => Some(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    /// Displays as what it carries, so its source is that one's source.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(refused) => refused.source(),
            Self::Inner(error) => error.source(),
        }
    }
}
