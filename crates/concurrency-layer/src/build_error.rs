//! What is wrong with a limit that could not be built or changed.

use std::error::Error;
use std::fmt;

/// A limit could not be built or changed: which limit, which field, its value, and what is allowed.
///
/// ```
/// use concurrency_layer::Limit;
///
/// let error = Limit::fixed(0).name("openai").build().unwrap_err();
/// assert_eq!(error.to_string(), r#"limit "openai": limit = 0 is not allowed; set it to 1 to 8388607"#);
/// assert_eq!(error.field(), "limit");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    name: String,
    field: &'static str,
    value: String,
    allowed: String,
}

impl BuildError {
    pub(crate) fn new(name: &str, field: &'static str, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            field,
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }

    /// The name of the limit.
    pub fn limit_name(&self) -> &str {
        &self.name
    }

    /// The field that is wrong: the name of the builder's function or of the key in a configuration file.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value it has.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is allowed, without the name of the limit, for messages that name a file and a line.
    pub fn allowed(&self) -> &str {
        &self.allowed
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            field,
            value,
            allowed,
        } = self;
        write!(f, "limit {name:?}: {field} = {value} is not allowed; {allowed}")
    }
}

impl Error for BuildError {}
