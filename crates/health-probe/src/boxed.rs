//! Probes of different kinds in one list.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::build_error::BuildError;
use crate::check_error::CheckError;
use crate::probe::Probe;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A [`Probe`] whose kind is forgotten. A check through it allocates once.
///
/// ```
/// use health_probe::{BoxProbe, FnProbe, Probe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), health_probe::BuildError> {
/// let probes = [
///     BoxProbe::new(FnProbe::new("queue", async || Ok::<_, std::io::Error>(()))),
///     BoxProbe::new(FnProbe::new("disk", async || Err::<(), _>("full"))),
/// ];
/// let handles = probes.into_iter().map(Probe::spawn).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(handles[1].name(), "disk");
/// # Ok(()) }
/// ```
pub struct BoxProbe(Box<dyn Erased>);

impl BoxProbe {
    /// Forgets the kind of `probe`.
    pub fn new(probe: impl Probe) -> Self {
        Self(Box::new(probe))
    }
}

impl Probe for BoxProbe {
    fn check(&self) -> impl Future<Output = Result<(), CheckError>> + Send {
        self.0.check_boxed()
    }

    fn changed(&self) -> impl Future<Output = ()> + Send {
        self.0.changed_boxed()
    }

    fn target(&self) -> String {
        self.0.target_of()
    }

    fn validate(&self) -> Result<(), BuildError> {
        self.0.validate_it()
    }
}

impl fmt::Debug for BoxProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoxProbe").field(&self.0.target_of()).finish()
    }
}

/// [`Probe`] in a form that makes an object.
trait Erased: Send + Sync {
    fn check_boxed(&self) -> Boxed<'_, Result<(), CheckError>>;
    fn changed_boxed(&self) -> Boxed<'_, ()>;
    fn target_of(&self) -> String;
    fn validate_it(&self) -> Result<(), BuildError>;
}

impl<P: Probe> Erased for P {
    fn check_boxed(&self) -> Boxed<'_, Result<(), CheckError>> {
        Box::pin(self.check())
    }

    fn changed_boxed(&self) -> Boxed<'_, ()> {
        Box::pin(self.changed())
    }

    fn target_of(&self) -> String {
        self.target()
    }

    fn validate_it(&self) -> Result<(), BuildError> {
        self.validate()
    }
}
