//! Durations in configuration: a number of seconds, or text such as `"250 ms"`, `"30s"`, `"5 min"`, `"1h"`.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Spans;
        impl Visitor<'_> for Spans {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds or text such as \"250 ms\", \"30 s\", \"5 min\" or \"1 h\"")
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<Span, E> {
                Ok(Span(Duration::from_secs(seconds)))
            }

            fn visit_i64<E: Error>(self, seconds: i64) -> Result<Span, E> {
                let seconds =
                    u64::try_from(seconds).map_err(|_| E::custom(format!("{seconds} s is less than nothing")))?;
                self.visit_u64(seconds)
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<Span, E> {
                Duration::try_from_secs_f64(seconds)
                    .map(Span)
                    .map_err(|error| E::custom(format!("{seconds} s: {error}")))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                parse(text)
                    .map(Span)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Spans)
    }
}

fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len()),
    );
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

fn text(span: Duration) -> String {
    if span.subsec_nanos() == 0 {
        format!("{} s", span.as_secs())
    } else {
        format!("{} ms", span.as_secs_f64() * 1000.0)
    }
}

pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*span))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Span::deserialize(deserializer).map(|span| span.0)
}

pub(crate) mod optional {
    //! The same where there may be none.

    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, Span, text};

    #[allow(clippy::ref_option, reason = "the shape serde asks for")]
    pub(crate) fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        span.map(text).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Span>::deserialize(deserializer)?.map(|span| span.0))
    }
}
