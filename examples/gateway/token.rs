//! The secret that lets a client steer from afar.

use std::fmt;

use subtle::ConstantTimeEq;

/// Shorter ones can be guessed.
pub(crate) const MIN_LENGTH: usize = 16;

/// A bearer token. It is never printed.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// # Errors
    ///
    /// When it is too short, or cannot stand in a header.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.len() < MIN_LENGTH {
            return Err(format!("has {} characters; use at least {MIN_LENGTH}", text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be of ASCII letters, digits and signs, without spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether an `Authorization` header carries it. The time this takes tells nothing of where they differ.
    pub(crate) fn is_in(&self, authorization: &[u8]) -> bool {
        let Some((scheme, token)) = authorization.split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && token.ct_eq(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_behind_bearer_lets_in() {
        let token = Token::new("correct-horse-battery").unwrap();
        assert!(token.is_in(b"Bearer correct-horse-battery"));
        assert!(token.is_in(b"bearer correct-horse-battery"));
        for wrong in [
            "",
            "Bearer ",
            "Bearer correct-horse",
            "Basic correct-horse-battery",
            "correct-horse-battery",
        ] {
            assert!(!token.is_in(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_short_token_is_refused_and_none_is_ever_printed() {
        assert_eq!(Token::new("secret").unwrap_err(), "has 6 characters; use at least 16");
        assert_eq!(
            format!("{:?}", Token::new("correct-horse-battery").unwrap()),
            "Token(..)"
        );
    }
}
