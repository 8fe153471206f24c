//! Why a check failed.

use std::error::Error;
use std::fmt;

use crate::BoxError;

/// More of an error's text is not kept: it goes into logs and snapshots.
const LONGEST: usize = 512;

/// Why a check failed: any error, and whether it means down at once.
///
/// ```
/// use health_probe::CheckError;
///
/// let error = CheckError::new("the disk is full").down_at_once();
/// assert_eq!(error.to_string(), "the disk is full");
/// assert!(error.is_down_at_once());
/// ```
#[derive(Debug)]
pub struct CheckError {
    error: BoxError,
    down_at_once: bool,
}

impl CheckError {
    /// A failure that counts towards [`unhealthy_after`](crate::ProbeBuilder::unhealthy_after).
    ///
    /// A `CheckError` that is already boxed stays what it is.
    pub fn new(error: impl Into<BoxError>) -> Self {
        match error.into().downcast() {
            Ok(known) => *known,
            Err(error) => Self {
                error,
                down_at_once: false,
            },
        }
    }

    /// The same failure, but it need not be seen again: down at once.
    #[must_use]
    pub fn down_at_once(mut self) -> Self {
        self.down_at_once = true;
        self
    }

    /// Whether this failure is enough to be down.
    pub const fn is_down_at_once(&self) -> bool {
        self.down_at_once
    }

    /// The whole chain in one line, of bounded length.
    pub(crate) fn one_line(&self) -> String {
        let mut line = self.error.to_string();
        let mut next = self.error.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Some errors repeat their source in their own words.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = error.source();
        }
        tidy(&line)
    }
}

/// One line of at most [`LONGEST`] bytes: what a dependency says may be long, and may contain line breaks.
pub(crate) fn tidy(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST));
    for char in text.chars() {
        if line.len() + char.len_utf8() > LONGEST {
            line.push('…');
            break;
        }
        line.push(if char.is_control() { ' ' } else { char });
    }
    line
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for CheckError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_whole_chain_once_and_no_line_breaks() {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = CheckError::new(Outer(std::io::Error::other("in\nner")));
        assert_eq!(error.one_line(), "outer: in ner");
        assert_eq!(
            CheckError::new(format!("outer: {}", "inner")).one_line(),
            "outer: inner"
        );
    }

    #[test]
    fn a_line_is_of_bounded_length() {
        let line = CheckError::new("ü".repeat(10_000)).one_line();
        assert!(line.len() <= LONGEST + '…'.len_utf8(), "{}", line.len());
        assert!(line.ends_with('…'));
    }

    #[test]
    fn a_boxed_check_error_stays_what_it_is() {
        let boxed: BoxError = Box::new(CheckError::new("gone").down_at_once());
        assert!(CheckError::new(boxed).is_down_at_once());
        assert!(!CheckError::new("gone").is_down_at_once());
    }
}
