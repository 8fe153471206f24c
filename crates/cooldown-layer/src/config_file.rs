//! A cooldown as a configuration file writes it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::budget::{Budget, Freeze, Scope};
use crate::cooldown::Cooldown;
use crate::policy::{CooldownBuilder, StoreFailure};
use crate::track::TrackRecord;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    budgets: Vec<WrittenBudget>,
    #[serde(default)]
    protect: Vec<String>,
    track_record: Option<WrittenTrack>,
    lease_time: Option<Span>,
    store: Option<String>,
    store_timeout: Option<Span>,
    on_store_failure: Option<WrittenFailure>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBudget {
    of: u32,
    per: Option<Span>,
    each: Option<String>,
    kind: Option<String>,
    target: Option<String>,
    #[serde(default)]
    freeze: WrittenFreeze,
}

#[derive(Default)]
struct WrittenFreeze(Freeze);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTrack {
    skip_under: f64,
    after: u32,
    #[serde(default)]
    explore: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenFailure {
    Local,
    Refuse,
    Allow,
}

/// A time with its unit: `250 ms`, `15 min`.
struct Span(Duration);

/// Reads what the builder's functions are called; values are checked by [`build`](CooldownBuilder::build), and the store
/// is opened there.
///
/// ```
/// use cooldown_layer::CooldownBuilder;
///
/// let builder: CooldownBuilder = serde_json::from_str(r#"{
///     "name": "repairs",
///     "budgets": [
///         { "of": 5, "per": "15 min" },
///         { "of": 2, "per": "1 h", "each": "target", "freeze": "until_thaw" },
///         { "of": 3, "per": "1 d", "each": "label:namespace", "freeze": "30 min" }
///     ],
///     "protect": ["postgres", "redis", "clickhouse"],
///     "track_record": { "skip_under": 0.2, "after": 2 },
///     "store": "memory:",
///     "on_store_failure": "refuse"
/// }"#)?;
/// assert_eq!(builder.build()?.name(), "repairs");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<'de> Deserialize<'de> for CooldownBuilder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let mut builder = Cooldown::builder(written.name).protect(written.protect);
        for budget in written.budgets {
            builder = builder.budget(read(budget).map_err(D::Error::custom)?);
        }
        if let Some(WrittenTrack {
            skip_under,
            after,
            explore,
        }) = written.track_record
        {
            builder = builder.track_record(TrackRecord::skip_under(skip_under).after(after).explore(explore));
        }
        if let Some(Span(time)) = written.lease_time {
            builder = builder.lease_time(time);
        }
        if let Some(Span(time)) = written.store_timeout {
            builder = builder.store_timeout(time);
        }
        if let Some(url) = written.store {
            builder = builder.store_url(url);
        }
        if let Some(failure) = written.on_store_failure {
            builder = builder.on_store_failure(match failure {
                WrittenFailure::Local => StoreFailure::Local,
                WrittenFailure::Refuse => StoreFailure::Refuse,
                WrittenFailure::Allow => StoreFailure::Allow,
            });
        }
        Ok(if written.dry_run { builder.dry_run() } else { builder })
    }
}

fn read(written: WrittenBudget) -> Result<Budget, String> {
    let scope = match (written.each.as_deref(), written.kind, written.target) {
        (None, None, None) => Scope::Everything,
        (Some("kind"), None, None) => Scope::EachKind,
        (Some("target"), None, None) => Scope::EachTarget,
        (None, Some(kind), None) => Scope::Kind(kind),
        (None, None, Some(target)) => Scope::Target(target),
        (Some(each), None, None) => match each.strip_prefix("label:") {
            Some(name) => Scope::EachLabel(name.to_owned()),
            None => {
                return Err(format!(
                    "each = \"{each}\" is not allowed; allowed: kind, target, label:NAME"
                ));
            }
        },
        _ => return Err("a budget has one of each, kind and target".to_owned()),
    };
    let budget = Budget::of(written.of).over(scope).when_spent(written.freeze.0);
    Ok(written.per.map_or(budget.clone(), |per| budget.per(per.0)))
}

impl<'de> Deserialize<'de> for WrittenFreeze {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(match text.as_str() {
            "until_window_clears" => Freeze::UntilWindowClears,
            "until_thaw" => Freeze::UntilThaw,
            time => Freeze::For(span(time).ok_or_else(|| {
                D::Error::custom(format!(
                    "freeze = \"{time}\" is not allowed; allowed: until_window_clears, until_thaw, a time as in \"1 h\""
                ))
            })?),
        }))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, as in \"15 min\" (ms, s, min, h, d)")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                span(text)
                    .map(Span)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = (text[..digits].parse::<u64>().ok()?, text[digits..].trim_start());
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_is_an_error_that_says_what_is() {
        let cases = [
            ("{}", "name"),
            (r#"{"name": "a", "budget": []}"#, "unknown field `budget`"),
            (r#"{"name": "a", "budgets": [{"of": -1}]}"#, "u32"),
            (
                r#"{"name": "a", "budgets": [{"of": 1, "per": "15"}]}"#,
                "ms, s, min, h, d",
            ),
            (
                r#"{"name": "a", "budgets": [{"of": 1, "per": "99999999999999999999 d"}]}"#,
                "ms, s, min, h, d",
            ),
            (r#"{"name": "a", "budgets": [{"of": 1, "each": "pod"}]}"#, "label:NAME"),
            (
                r#"{"name": "a", "budgets": [{"of": 1, "each": "kind", "target": "x"}]}"#,
                "one of",
            ),
            (
                r#"{"name": "a", "budgets": [{"of": 1, "freeze": "long"}]}"#,
                "until_thaw",
            ),
        ];
        for (text, hint) in cases {
            let error = serde_json::from_str::<CooldownBuilder>(text)
                .expect_err(text)
                .to_string();
            assert!(error.contains(hint), "{error} should name {hint}");
        }
        for (text, hint) in [
            (r#"{"name": "", "store": "memory:"}"#, "name"),
            (r#"{"name": "a", "store": "ftp://x"}"#, "no store for \"ftp:\""),
            (r#"{"name": "a", "lease_time": "0 s"}"#, "lease_time"),
            (r#"{"name": "a", "budgets": [{"of": 1, "per": "36 d"}]}"#, "35 days"),
        ] {
            let builder = serde_json::from_str::<CooldownBuilder>(text).expect(text);
            let error = builder.build().expect_err(text).to_string();
            assert!(error.contains(hint), "{error} should name {hint}");
        }
    }
}
