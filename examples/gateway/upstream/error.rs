//! Why a provider gave no answer, or broke one off.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tokio::time::error::Elapsed;

#[derive(Debug)]
pub(crate) enum UpstreamError {
    /// No connection, or one that broke before the answer began.
    Http(hyper_util::client::legacy::Error),
    /// The answer did not begin in time.
    NoAnswer { waited: Duration, elapsed: Elapsed },
    /// The answer broke off.
    Broken(hyper::Error),
    /// The answer began, and then nothing more came.
    Stalled { waited: Duration },
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) if error.is_connect() => f.write_str("the provider cannot be reached"),
            Self::Http(_) => f.write_str("the provider broke the connection"),
            Self::NoAnswer { waited, .. } => write!(f, "the provider did not answer within {waited:?}"),
            Self::Broken(_) => f.write_str("the provider broke its answer off"),
            Self::Stalled { waited } => write!(f, "the provider fell silent for {waited:?} in its answer"),
        }
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Http(error) => Some(error),
            Self::NoAnswer { elapsed, .. } => Some(elapsed),
            Self::Broken(error) => Some(error),
            Self::Stalled { .. } => None,
        }
    }
}
