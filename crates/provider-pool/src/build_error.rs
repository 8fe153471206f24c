//! A configuration that cannot work.

use std::error::Error;
use std::fmt;

/// A configuration that cannot work: which field, what it was, what is allowed.
///
/// ```
/// use provider_pool::{Provider, ProviderPool};
/// use tower::service_fn;
///
/// let service = service_fn(async |_: ()| Ok::<_, provider_pool::BoxError>("hello"));
/// let error = ProviderPool::builder().provider(Provider::new("a", service).weight(0)).build().unwrap_err();
/// assert_eq!(error.to_string(), r#"provider "a": weight = 0 is out of range; it must be from 1 to 1000"#);
/// assert_eq!((error.field(), error.value()), ("weight", "0"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    of: String,
    field: &'static str,
    value: String,
    problem: String,
}

impl BuildError {
    pub(crate) fn provider(
        name: &str,
        field: &'static str,
        value: impl fmt::Display,
        problem: impl Into<String>,
    ) -> Self {
        Self {
            of: format!("provider {name:?}"),
            field,
            value: value.to_string(),
            problem: problem.into(),
        }
    }

    pub(crate) fn pool(field: &'static str, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self {
            of: "provider pool".into(),
            field,
            value: value.to_string(),
            problem: problem.into(),
        }
    }

    /// The field that cannot be as it is.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is wrong with it and what is allowed.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} = {} {}", self.of, self.field, self.value, self.problem)
    }
}

impl Error for BuildError {}
