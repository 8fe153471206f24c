//! Targets that no automatic action may touch.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use crate::action::Quoted;
use crate::policy::InvalidCooldown;

/// A rule for targets that are always refused.
///
/// A target is tested whole and by its parts between slashes, so that `postgres` also protects
/// `statefulset/postgres`. Case counts. With `glob`, `*` and `?` stay within one part and `**` crosses slashes.
///
/// ```
/// use cooldown_layer::Protect;
///
/// let rules = [Protect::exact("redis"), Protect::prefix("postgres"), Protect::glob("kube-system/**")];
/// # let _ = rules;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protect {
    text: String,
    manner: Manner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Exact,
    Prefix,
    Glob,
}

impl Protect {
    /// The target, or one of its parts, is this text.
    #[must_use]
    pub fn exact(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            manner: Manner::Exact,
        }
    }

    /// The target, or one of its parts, begins with this text: `postgres` covers `statefulset/postgres-0`.
    #[must_use]
    pub fn prefix(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            manner: Manner::Prefix,
        }
    }

    /// The target, or one of its parts, matches this pattern.
    #[must_use]
    pub fn glob(pattern: impl Into<String>) -> Self {
        Self {
            text: pattern.into(),
            manner: Manner::Glob,
        }
    }

    /// The text it was made from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Plain text with `*`, `?`, `[` or `{` is a glob; anything else is a prefix, the safer reading of a bare name.
impl From<&str> for Protect {
    fn from(text: &str) -> Self {
        if text.contains(['*', '?', '[', '{']) {
            Self::glob(text)
        } else {
            Self::prefix(text)
        }
    }
}

impl From<String> for Protect {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for Protect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All rules, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Protected {
    rules: Vec<(Protect, Option<GlobMatcher>)>,
}

impl Protected {
    pub(crate) fn compile(rules: Vec<Protect>) -> Result<Self, InvalidCooldown> {
        let compile = |rule: Protect| {
            if rule.text.trim().is_empty() {
                // An empty prefix would protect everything, an empty name nothing: neither is what was meant.
                return Err(InvalidCooldown::new(
                    "protect",
                    Quoted(&rule.text),
                    "a name, a prefix or a pattern, not blank",
                ));
            }
            let matcher = match rule.manner {
                Manner::Glob => Some(
                    GlobBuilder::new(&rule.text)
                        .literal_separator(true)
                        .build()
                        .map_err(|error| {
                            let allowed = format!("a pattern that can be read; in this one: {}", error.kind());
                            InvalidCooldown::new("protect", Quoted(&rule.text), allowed)
                        })?
                        .compile_matcher(),
                ),
                _ => None,
            };
            Ok((rule, matcher))
        };
        rules
            .into_iter()
            .map(compile)
            .collect::<Result<_, _>>()
            .map(|rules| Self { rules })
    }

    /// The first rule that covers `target`.
    pub(crate) fn covers(&self, target: &str) -> Option<&Protect> {
        // Spaces round a name must not open what the name protects.
        let whole = target.trim();
        let mut parts = std::iter::once(whole).chain(whole.split('/').map(str::trim));
        let covering = |text: &str| {
            self.rules.iter().find(|(rule, matcher)| match rule.manner {
                Manner::Exact => text == rule.text,
                Manner::Prefix => text.starts_with(&rule.text),
                Manner::Glob => matcher.as_ref().is_some_and(|matcher| matcher.is_match(text)),
            })
        };
        parts.find_map(covering).map(|(rule, _)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[Protect]) -> Protected {
        Protected::compile(rules.to_vec()).expect("valid")
    }

    #[test]
    fn protected_targets_are_found_by_exact_name_prefix_and_glob() {
        let all = rules(&[
            Protect::exact("redis"),
            Protect::from("postgres"),
            Protect::from("kube-*/**"),
            "db-?".into(),
        ]);
        for covered in [
            "redis",
            "deployment/redis",
            "statefulset/postgres-0",
            "postgres",
            " redis ",
            "kube-system/dns/a",
        ] {
            assert!(all.covers(covered).is_some(), "{covered}");
        }
        for free in ["redis2", "deployment/api", "my-postgres", "kube", "db-10", "Redis"] {
            assert!(all.covers(free).is_none(), "{free}");
        }
        assert_eq!(all.covers("x/db-1").map(Protect::as_str), Some("db-?"));
    }

    #[test]
    fn a_star_stays_within_one_part() {
        let all = rules(&[Protect::glob("prod/*")]);
        assert!(all.covers("prod/api").is_some());
        assert!(all.covers("prod/api/v1").is_none());
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_an_error() {
        for bad in [Protect::prefix(""), Protect::exact(" "), Protect::glob("a[")] {
            let error = Protected::compile(vec![bad.clone()]).expect_err("refused").to_string();
            assert!(error.contains("protect"), "{error}");
        }
    }
}
