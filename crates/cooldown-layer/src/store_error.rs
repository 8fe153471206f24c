//! What keeps a store from an answer.

use std::fmt;
use std::sync::Arc;

/// A store could not answer.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    what: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What kept a store from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time; the operation may have been done.
    TimedOut,
    /// Wrong or missing password, or no permission.
    Denied,
    /// The server has no memory left (`OOM`).
    OutOfMemory,
    /// The server does not write: a replica, or it cannot save (`READONLY`, `MISCONF`).
    ReadOnly,
    /// The server is still reading its data (`LOADING`).
    Loading,
    /// A key holds something else (`WRONGTYPE`).
    WrongType,
    /// The bounds of the store are reached and nothing has expired. No local budget takes over here.
    Full,
    /// The file is not one of ours, or of another version.
    Foreign,
    /// The file is damaged.
    Damaged,
    /// Another process has the file open.
    InUse,
    /// Reading or writing the file failed.
    Io,
    /// The configuration names no store, or not one that this build has.
    Config,
    /// Anything else.
    Other,
}

impl StoreErrorKind {
    /// A short fixed word for metrics, such as `timed_out`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Denied => "denied",
            Self::OutOfMemory => "out_of_memory",
            Self::ReadOnly => "read_only",
            Self::Loading => "loading",
            Self::WrongType => "wrong_type",
            Self::Full => "full",
            Self::Foreign => "foreign",
            Self::Damaged => "damaged",
            Self::InUse => "in_use",
            Self::Io => "io",
            Self::Config => "config",
            Self::Other => "other",
        }
    }
}

impl StoreError {
    /// An error of this kind, in words.
    #[must_use]
    pub fn new(kind: StoreErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            source: None,
        }
    }

    /// With what caused it.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What kept it.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("what", &self.what)
            .field("source", &self.source.as_ref().map(ToString::to_string))
            .finish()
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
