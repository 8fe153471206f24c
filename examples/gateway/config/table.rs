//! A table of a TOML file, read field by field: what nobody asks for is an error at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{ConfigError, Field, Place, Source};

/// A table whose fields are asked for one by one; what nobody asked for is an error at the end.
pub(crate) struct Table<'a> {
    source: Source<'a>,
    path: String,
    start: usize,
    values: DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(source: Source<'a>, start: usize, values: DeTable<'a>) -> Self {
        Self {
            source,
            path: String::new(),
            start,
            values,
            asked: Vec::new(),
        }
    }

    /// How this table is called in errors, for instance `circuit "openai"`.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.path = format!("{name}: ");
        self
    }

    /// The error that says `problem` about the table as a whole.
    pub(crate) fn wrong(&self, problem: impl fmt::Display) -> ConfigError {
        ConfigError::new(format!(
            "{}:{}: {}{problem}",
            self.source.name,
            self.source.line(self.start),
            self.path
        ))
    }

    fn take(&mut self, key: &'static str) -> Option<(DeValue<'a>, Place<'a>)> {
        self.asked.push(key);
        let value = self.values.remove(key)?;
        let place = Place {
            source: self.source,
            path: self.path.clone(),
            key,
            span: value.span(),
        };
        Some((value.into_inner(), place))
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<Field<'a, String>>, ConfigError> {
        let Some((value, place)) = self.take(key) else {
            return Ok(None);
        };
        match value {
            DeValue::String(text) if !text.trim().is_empty() => Ok(Some(Field {
                value: text.into_owned(),
                place,
            })),
            _ => Err(place.wrong("must be a text in quotes that is not empty")),
        }
    }

    pub(crate) fn whole<N>(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<N>,
    ) -> Result<Option<Field<'a, N>>, ConfigError>
    where
        N: Copy + PartialOrd + fmt::Display + TryFrom<i128>,
    {
        let Some((value, place)) = self.take(key) else {
            return Ok(None);
        };
        let number = match &value {
            DeValue::Integer(digits) => i128::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        let number = number.and_then(|number| N::try_from(number).ok());
        let Some(value) = number.filter(|number| allowed.contains(number)) else {
            let (low, high) = allowed.into_inner();
            return Err(place.wrong(format!("is not allowed; set it to a whole number from {low} to {high}")));
        };
        Ok(Some(Field { value, place }))
    }

    /// A share of calls: at least 0, below 1.
    pub(crate) fn share(&mut self, key: &'static str) -> Result<Option<Field<'a, f64>>, ConfigError> {
        let Some((value, place)) = self.take(key) else {
            return Ok(None);
        };
        let number: Option<f64> = match &value {
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            DeValue::Integer(digits) => digits.as_str().parse().ok(),
            _ => None,
        };
        match number.filter(|number| (0.0..1.0).contains(number)) {
            Some(value) => Ok(Some(Field { value, place })),
            None => Err(place.wrong("is not allowed; set it to a number from 0.0 up to, and not including, 1.0")),
        }
    }

    /// A span of time, written `"500ms"`, `"30s"`, `"5m"` or `"1h"`.
    pub(crate) fn time(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<Duration>,
    ) -> Result<Option<Field<'a, Duration>>, ConfigError> {
        let Some((value, place)) = self.take(key) else {
            return Ok(None);
        };
        let span = match &value {
            DeValue::String(text) => duration(text),
            _ => None,
        };
        let Some(value) = span else {
            return Err(place.wrong("is no span of time; write it as \"500ms\", \"30s\", \"5m\" or \"1h\""));
        };
        if !allowed.contains(&value) {
            let (low, high) = allowed.into_inner();
            let (low, high) = (written(low), written(high));
            return Err(place.wrong(format!("is not allowed; set it to a time from \"{low}\" to \"{high}\"")));
        }
        Ok(Some(Field { value, place }))
    }

    /// Either a whole number, or a span of time.
    pub(crate) fn whole_or_time(
        &mut self,
        key: &'static str,
        calls: RangeInclusive<u32>,
        time: RangeInclusive<Duration>,
    ) -> Result<Option<Field<'a, CallsOrTime>>, ConfigError> {
        if self.values.get(key).is_some_and(|value| value.get_ref().is_str()) {
            let field = self.time(key, time)?;
            return Ok(field.map(|Field { value, place }| Field {
                value: CallsOrTime::Time(value),
                place,
            }));
        }
        let field = self.whole(key, calls)?;
        Ok(field.map(|Field { value, place }| Field {
            value: CallsOrTime::Calls(value),
            place,
        }))
    }

    /// A table of texts: `{ "gpt-4" = "llama3" }`.
    pub(crate) fn texts(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, ConfigError> {
        let Some((value, place)) = self.take(key) else {
            return Ok(BTreeMap::new());
        };
        let DeValue::Table(table) = value else {
            return Err(place.wrong("must be a table such as { \"gpt-4\" = \"llama3\" }"));
        };
        let texts = table.into_iter().map(|(key, value)| match value.into_inner() {
            DeValue::String(text) if !text.is_empty() => Ok((key.into_inner().into_owned(), text.into_owned())),
            _ => Err(place.wrong(format!("must name a model for {:?}, a text in quotes", key.get_ref()))),
        });
        texts.collect()
    }

    /// A list of names: `["gpt-4", "*"]`.
    pub(crate) fn names(&mut self, key: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some((value, place)) = self.take(key) else {
            return Ok(None);
        };
        let wrong = || place.wrong("must be a list of names in quotes, such as [\"gpt-4\", \"*\"], with at least one");
        let DeValue::Array(list) = value else {
            return Err(wrong());
        };
        let names = list.into_iter().map(|value| match value.into_inner() {
            DeValue::String(name) if !name.is_empty() && name.len() <= 256 => Ok(name.into_owned()),
            _ => Err(wrong()),
        });
        let names = names.collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() {
            Err(wrong())
        } else {
            Ok(Some(names))
        }
    }

    /// A table within this one, if it is there.
    pub(crate) fn given(&mut self, key: &'static str) -> Result<Option<Table<'a>>, ConfigError> {
        if self.values.contains_key(key) {
            self.table(key).map(Some)
        } else {
            self.asked.push(key);
            Ok(None)
        }
    }

    /// A table within this one; one that is not there is empty.
    pub(crate) fn table(&mut self, key: &'static str) -> Result<Table<'a>, ConfigError> {
        let Some((value, place)) = self.take(key) else {
            return Ok(self.within(self.start, DeTable::new()));
        };
        match value {
            DeValue::Table(values) => Ok(self.within(place.span.start, values)),
            _ => Err(place.wrong(format!("must be a table, written [{key}]"))),
        }
    }

    /// A list of tables, written `[[key]]`.
    pub(crate) fn tables(&mut self, key: &'static str) -> Result<Vec<Table<'a>>, ConfigError> {
        let Some((value, place)) = self.take(key) else {
            return Ok(Vec::new());
        };
        let wrong = || place.wrong(format!("must be a list of tables, each written [[{key}]]"));
        let DeValue::Array(list) = value else {
            return Err(wrong());
        };
        let tables = list.into_iter().map(|value| {
            let start = value.span().start;
            match Spanned::into_inner(value) {
                DeValue::Table(values) => Ok(self.within(start, values)),
                _ => Err(wrong()),
            }
        });
        tables.collect()
    }

    fn within(&self, start: usize, values: DeTable<'a>) -> Table<'a> {
        Table {
            source: self.source,
            path: self.path.clone(),
            start,
            values,
            asked: Vec::new(),
        }
    }

    /// Says that all fields were asked for.
    pub(crate) fn done(self) -> Result<(), ConfigError> {
        let Some((key, _)) = self.values.iter().min_by_key(|(key, _)| key.span().start) else {
            return Ok(());
        };
        let line = self.source.line(key.span().start);
        let (name, path, allowed) = (self.source.name, &self.path, self.asked.join(", "));
        let key = key.get_ref();
        let elsewhere = match &**key {
            "circuit" | "limit" | "health" => {
                format!("; it belongs to a [[provider]] and stands below it as [provider.{key}]")
            }
            _ => String::new(),
        };
        Err(ConfigError::new(format!(
            "{name}:{line}: {path}{key} is not known here{elsewhere}; allowed are {allowed}"
        )))
    }
}

/// A number of calls or a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallsOrTime {
    Calls(u32),
    Time(Duration),
}

/// Reads `"500ms"`, `"30s"`, `"5m"`, `"1h"`; also `"1.5s"`.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.trim().parse().ok()?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// As [`duration`] reads it: the greatest unit that it is a whole number of.
fn written(span: Duration) -> String {
    let ms = span.as_millis();
    [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit))
        .map_or_else(|| format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table<'_> {
        Source { name: "x.toml", text }.parse().unwrap()
    }

    #[test]
    fn spans_of_time_are_read_with_their_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(duration("5m"), Some(Duration::from_mins(5)));
        assert_eq!(duration("2 h"), Some(Duration::from_hours(2)));
        for said in ["0ms", "1ms", "999ms", "30s", "90s", "5m", "1h", "8760h"] {
            assert_eq!(written(duration(said).unwrap()), said);
        }
        for wrong in ["", "5", "s", "-1s", "NaNs", "1d", "1e300h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_file_line_field_value_and_what_is_allowed() {
        let said = table("a = 1\nb = 70_000")
            .whole("b", 1..=5_u32)
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "x.toml:2: b = 70_000 is not allowed; set it to a whole number from 1 to 5"
        );
        let said = table("a = nan").share("a").unwrap_err().to_string();
        assert_eq!(
            said,
            "x.toml:1: a = nan is not allowed; set it to a number from 0.0 up to, and not including, 1.0"
        );
        let said = table("t = \"2h\"")
            .time("t", Duration::from_millis(1)..=Duration::from_hours(1))
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "x.toml:1: t = \"2h\" is not allowed; set it to a time from \"1ms\" to \"1h\""
        );
        let said = table("\n\nt = \"soon\"")
            .time("t", Duration::ZERO..=Duration::MAX)
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "x.toml:3: t = \"soon\" is no span of time; write it as \"500ms\", \"30s\", \"5m\" or \"1h\""
        );
    }

    #[test]
    fn a_field_that_nobody_asked_for_is_refused_with_those_that_are_known() {
        let mut table = table("known = \"a\"\nunknown = 1");
        table.text("known").unwrap();
        table.text("other").unwrap();
        assert_eq!(
            table.done().unwrap_err().to_string(),
            "x.toml:2: unknown is not known here; allowed are known, other"
        );
        let mut table = self::table("circuit = { trials = 2 }");
        table.text("provider").unwrap();
        assert_eq!(
            table.done().unwrap_err().to_string(),
            "x.toml:1: circuit is not known here; it belongs to a [[provider]] and stands below it as [provider.circuit]; allowed are provider"
        );
    }

    #[test]
    fn text_that_is_not_toml_is_one_line_too() {
        let error = Source {
            name: "x.toml",
            text: "a = 1\nb = = 2\n",
        }
        .parse()
        .err()
        .unwrap()
        .to_string();
        assert!(
            error.starts_with("x.toml:2: this is not TOML: ") && !error.contains('\n'),
            "{error}"
        );
    }
}
