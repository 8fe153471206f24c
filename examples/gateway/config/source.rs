//! Where a value stands in a file, so that whatever is wrong is said in one line: file and line, field, value, what is
//! allowed.

use std::fmt;
use std::ops::Range;

use toml::de::DeTable;

use super::table::Table;

/// The one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        // An error of a library may bring line breaks; this is one line, whatever happens.
        Self(text.into().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file and its text, to say where something stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// The whole file as one table.
    pub(crate) fn parse(self) -> Result<Table<'a>, ConfigError> {
        let document = DeTable::parse(self.text).map_err(|error| {
            let line = self.line(error.span().map_or(0, |span| span.start));
            ConfigError::new(format!("{}:{line}: this is not TOML: {}", self.name, error.message()))
        })?;
        let span = document.span();
        Ok(Table::new(self, span.start, document.into_inner()))
    }
}

/// A value that is right so far, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a, T> {
    pub(crate) value: T,
    pub(super) place: Place<'a>,
}

/// Where a value stands, what it is called, and how it is written there.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(super) source: Source<'a>,
    pub(super) path: String,
    pub(super) key: &'static str,
    pub(super) span: Range<usize>,
}

impl Place<'_> {
    /// The error that says `problem` about this value: `.. min_calls = 200 is more than ..`.
    pub(crate) fn wrong(&self, problem: impl fmt::Display) -> ConfigError {
        let Self {
            source,
            path,
            key,
            span,
        } = self;
        let written = source.text.get(span.clone()).unwrap_or_default();
        let written = match written.char_indices().nth(60) {
            Some((end, _)) => format!("{}..", &written[..end]),
            None => written.to_owned(),
        };
        ConfigError::new(format!(
            "{}:{}: {path}{key} = {written} {problem}",
            source.name,
            source.line(span.start)
        ))
    }

    /// The same for a value that must not be shown.
    pub(crate) fn wrong_secret(&self, problem: impl fmt::Display) -> ConfigError {
        let Self {
            source,
            path,
            key,
            span,
        } = self;
        ConfigError::new(format!(
            "{}:{}: {path}{key} {problem}",
            source.name,
            source.line(span.start)
        ))
    }
}

impl<'a, T> Field<'a, T> {
    pub(crate) fn wrong(&self, problem: impl fmt::Display) -> ConfigError {
        self.place.wrong(problem)
    }

    pub(crate) fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// The value made into another; the error says what is wrong with it.
    pub(crate) fn convert<U, E: fmt::Display>(
        self,
        convert: impl FnOnce(&T) -> Result<U, E>,
    ) -> Result<Field<'a, U>, ConfigError> {
        match convert(&self.value) {
            Ok(value) => Ok(Field {
                value,
                place: self.place,
            }),
            Err(problem) => Err(self.place.wrong(problem)),
        }
    }
}
