//! What somebody wants to do.

use std::fmt;

use crate::error::Reason;
use crate::signature::AnomalyKey;

pub(crate) const MAX_KIND: usize = 128;
pub(crate) const MAX_TARGET: usize = 1024;
const MAX_LABELS: usize = 16;

/// A risky action: its kind, its target, and what budgets may count it under.
///
/// Nothing is checked here: a [`Cooldown`](crate::Cooldown) refuses an action it cannot stand for.
///
/// | part | allowed |
/// |---|---|
/// | kind | 1 to 128 bytes, no control characters |
/// | target | 1 to 1,024 bytes, no control characters, not blank |
/// | labels | 16 at most; names 1 to 64 of `A-Z a-z 0-9 . _ - /`, values up to 1,024 bytes, no control characters |
/// | cost | at least 1, at most the smallest budget |
///
/// ```
/// use cooldown_layer::Action;
///
/// let action = Action::new("restart", "deployment/api").label("namespace", "shop").cost(2);
/// assert_eq!(action.to_string(), "restart on deployment/api");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub(crate) kind: String,
    pub(crate) target: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) cost: u32,
    pub(crate) anomaly: Option<AnomalyKey>,
}

impl Action {
    /// An action of a kind (`restart`, `failover`, `purge`) on a target, which costs one unit.
    #[must_use]
    pub fn new(kind: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            target: target.into(),
            labels: Vec::new(),
            cost: 1,
            anomaly: None,
        }
    }

    /// A label that budgets may count by; the same name again replaces the value.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.labels.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.labels.push((name, value)),
        }
        self
    }

    /// How many units of every budget it takes.
    #[must_use]
    pub const fn cost(mut self, units: u32) -> Self {
        self.cost = units;
        self
    }

    /// The anomaly it answers: its outcomes then make up a track record for this anomaly and kind.
    ///
    /// An action without one has no track record and asks no ledger.
    #[must_use]
    pub fn because_of(mut self, anomaly: impl Into<AnomalyKey>) -> Self {
        self.anomaly = Some(anomaly.into());
        self
    }

    /// What is to be done.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it is to be done to.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The units it takes.
    #[must_use]
    pub const fn units(&self) -> u32 {
        self.cost
    }

    /// The anomaly it answers.
    #[must_use]
    pub const fn anomaly(&self) -> Option<AnomalyKey> {
        self.anomaly
    }

    /// The value of a label; empty when it has none of that name.
    #[must_use]
    pub fn value_of(&self, label: &str) -> &str {
        self.labels
            .iter()
            .find(|(name, _)| name == label)
            .map_or("", |(_, value)| value)
    }

    /// Why no cooldown can stand for it, if so.
    pub(crate) fn fault(&self) -> Option<Reason> {
        if self.target.trim().is_empty() {
            return Some(Reason::EmptyTarget);
        }
        let texts = [("kind", &self.kind, MAX_KIND), ("target", &self.target, MAX_TARGET)];
        for (field, text, most) in texts {
            if let Some(what) = text_fault(text, most) {
                return Some(Reason::Invalid { field, what });
            }
        }
        if self.kind.is_empty() {
            return Some(Reason::Invalid {
                field: "kind",
                what: "is empty; name what is to be done".into(),
            });
        }
        if self.cost == 0 {
            return Some(Reason::Invalid {
                field: "cost",
                what: "is 0; an action costs at least 1".into(),
            });
        }
        if self.labels.len() > MAX_LABELS {
            let what = format!("are {}; at most {MAX_LABELS} are allowed", self.labels.len());
            return Some(Reason::Invalid { field: "labels", what });
        }
        self.labels.iter().find_map(|(name, value)| {
            let what = label_name_fault(name).or_else(|| text_fault(value, MAX_TARGET))?;
            Some(Reason::Invalid { field: "label", what })
        })
    }
}

/// `restart on deployment/api`; what is blank stands in quotes, control characters are escaped, and what is over 120
/// characters is not shown.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, text: &str| match text.trim() {
            "" => write!(f, "{}", Quoted(text)),
            _ => write!(f, "{}", Shown(text)),
        };
        part(f, &self.kind)?;
        f.write_str(" on ")?;
        part(f, &self.target)
    }
}

/// [`Shown`], in quotes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Shown(self.0))
    }
}

/// Text that a caller chose, made fit for one line of a log.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shown in self.0.chars().take(120) {
            if shown.is_control() {
                write!(f, "{}", shown.escape_unicode())?;
            } else {
                write!(f, "{shown}")?;
            }
        }
        if self.0.chars().nth(120).is_some() {
            f.write_str("...")
        } else {
            Ok(())
        }
    }
}

pub(crate) fn text_fault(text: &str, most: usize) -> Option<String> {
    if text.len() > most {
        return Some(format!("has {} bytes; at most {most} are allowed", text.len()));
    }
    let (at, found) = text.char_indices().find(|(_, c)| c.is_control())?;
    Some(format!(
        "has the control character {} at byte {at}; none is allowed",
        found.escape_unicode()
    ))
}

/// What a label may be called.
pub(crate) const LABEL_NAMES: &str = "1 to 64 of A-Z a-z 0-9 . _ - /";

pub(crate) fn label_name_fault(name: &str) -> Option<String> {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    (!fits).then(|| format!("name {} is not {LABEL_NAMES}", Quoted(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_nobody_can_stand_for_says_which_part() {
        let cases = [
            (Action::new("restart", ""), "EmptyTarget"),
            (Action::new("restart", " \t"), "EmptyTarget"),
            (Action::new("", "api"), "kind"),
            (Action::new("re\nstart", "api"), "u{a}"),
            (Action::new("restart", "a".repeat(1 << 20)), "1048576"),
            (Action::new("restart", "api\u{0}"), "u{0}"),
            (Action::new("restart", "api").cost(0), "cost"),
            (Action::new("restart", "api").label("na me", "x"), "na me"),
            (Action::new("restart", "api").label("name", "x\r"), "u{d}"),
            (
                (0..17).fold(Action::new("restart", "api"), |action, n| {
                    action.label(n.to_string(), "x")
                }),
                "17",
            ),
        ];
        for (action, hint) in cases {
            let fault = format!("{:?}", action.fault().expect("refused"));
            assert!(fault.contains(hint), "{fault} should name {hint}");
        }
        assert!(Action::new("restart", "api").label("ns", "").fault().is_none());
        assert_eq!(
            Action::new("a\nb", "x".repeat(200)).to_string().len(),
            "a\\u{a}b on ".len() + 123
        );
    }
}
