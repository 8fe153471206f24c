//! How often: so many units in a window, over what, and what happens when they are spent.

use std::fmt;
use std::time::Duration;

use crate::action::{Action, LABEL_NAMES, MAX_KIND, MAX_TARGET, Quoted, Shown, label_name_fault, text_fault};
use crate::policy::InvalidCooldown;
use crate::wall::{millis, spoken};

/// The longest window: stores keep nothing for longer.
pub(crate) const MAX_WINDOW: Duration = Duration::from_secs(35 * 86_400);
const MAX_UNITS: u32 = 100_000;

/// At most `of` units in any window of length `per`.
///
/// The window slides and is exact: a unit that was given at `t` is free again at `t + per`, not at the turn of a bucket.
/// Without more it counts everything; narrow it with [`each_kind`](Self::each_kind), [`target`](Self::target) and the
/// like. Several budgets hold at once, and all of them must agree.
///
/// | setting | default | allowed |
/// |---|---|---|
/// | units | 5 | 1 to 100,000 |
/// | window | 15 min | 1 ms to 35 days |
/// | when spent | [`Freeze::UntilWindowClears`] | any; `For` 1 ms to 365 days |
///
/// ```
/// use std::time::Duration;
/// use cooldown_layer::{Budget, Freeze};
///
/// let hour = Duration::from_secs(3600);
/// let budgets = [
///     Budget::of(5).per(hour / 4),
///     Budget::of(2).per(hour).each_target(),
///     Budget::of(1).per(24 * hour).kind("failover").when_spent(Freeze::UntilThaw),
/// ];
/// assert_eq!(budgets[1].to_string(), "2 per 1 h for each target");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub(crate) of: u32,
    pub(crate) per: Duration,
    pub(crate) scope: Scope,
    pub(crate) freeze: Freeze,
}

/// What a [`Budget`] counts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Every action.
    Everything,
    /// Each kind of action by itself.
    EachKind,
    /// One kind only; the budget says nothing about others.
    Kind(String),
    /// Each target by itself.
    EachTarget,
    /// One target only.
    Target(String),
    /// Each value of a label by itself; actions without the label count together.
    EachLabel(String),
    /// One value of a label only.
    Label(String, String),
}

/// What happens when a budget is spent, that is when its last unit is given.
///
/// A freeze holds what the budget counts: a spent budget for one target does not freeze the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Freeze {
    /// Refuse until enough of the window has passed for the action to fit again.
    #[default]
    UntilWindowClears,
    /// Refuse for this long from the moment it was spent, and until the action fits again.
    For(Duration),
    /// Refuse until somebody calls [`Cooldown::thaw`](crate::Cooldown::thaw), and until the action fits again.
    UntilThaw,
}

impl Default for Budget {
    /// 5 per 15 min over everything.
    fn default() -> Self {
        Self::of(5)
    }
}

impl Budget {
    /// So many units per 15 min over everything, until said otherwise.
    #[must_use]
    pub const fn of(units: u32) -> Self {
        let per = Duration::from_secs(15 * 60);
        Self {
            of: units,
            per,
            scope: Scope::Everything,
            freeze: Freeze::UntilWindowClears,
        }
    }

    /// The length of the window.
    #[must_use]
    pub const fn per(mut self, window: Duration) -> Self {
        self.per = window;
        self
    }

    /// What it counts.
    #[must_use]
    pub fn over(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Counts each kind by itself.
    #[must_use]
    pub fn each_kind(self) -> Self {
        self.over(Scope::EachKind)
    }

    /// Counts one kind only.
    #[must_use]
    pub fn kind(self, kind: impl Into<String>) -> Self {
        self.over(Scope::Kind(kind.into()))
    }

    /// Counts each target by itself.
    #[must_use]
    pub fn each_target(self) -> Self {
        self.over(Scope::EachTarget)
    }

    /// Counts one target only.
    #[must_use]
    pub fn target(self, target: impl Into<String>) -> Self {
        self.over(Scope::Target(target.into()))
    }

    /// Counts each value of a label by itself.
    #[must_use]
    pub fn each_label(self, name: impl Into<String>) -> Self {
        self.over(Scope::EachLabel(name.into()))
    }

    /// Counts one value of a label only.
    #[must_use]
    pub fn label(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.over(Scope::Label(name.into(), value.into()))
    }

    /// What happens when it is spent.
    #[must_use]
    pub const fn when_spent(mut self, freeze: Freeze) -> Self {
        self.freeze = freeze;
        self
    }

    /// The units it gives.
    #[must_use]
    pub const fn units(&self) -> u32 {
        self.of
    }

    /// The length of its window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.per
    }

    /// What it counts.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidCooldown> {
        if !(1..=MAX_UNITS).contains(&self.of) {
            return Err(InvalidCooldown::new("budget.of", self.of, format!("1 to {MAX_UNITS}")));
        }
        if self.per < Duration::from_millis(1) || self.per > MAX_WINDOW {
            return Err(InvalidCooldown::new(
                "budget.per",
                format!("{:?}", self.per),
                "1 ms to 35 days",
            ));
        }
        if let Freeze::For(d) = self.freeze
            && (d < Duration::from_millis(1) || d > Duration::from_secs(365 * 86_400))
        {
            return Err(InvalidCooldown::new(
                "budget.when_spent",
                format!("{d:?}"),
                "1 ms to 365 days",
            ));
        }
        let name = |field, name: &str| match label_name_fault(name) {
            None => Ok(()),
            Some(_) => Err(InvalidCooldown::new(field, Quoted(name), LABEL_NAMES)),
        };
        let text = |field, text: &str, least: usize, most| {
            if text.len() >= least && text_fault(text, most).is_none() {
                return Ok(());
            }
            let allowed = format!("{least} to {most} bytes without control characters");
            Err(InvalidCooldown::new(field, Quoted(text), allowed))
        };
        match &self.scope {
            Scope::Everything | Scope::EachKind | Scope::EachTarget => Ok(()),
            Scope::Kind(kind) => text("budget.kind", kind, 1, MAX_KIND),
            Scope::Target(target) => text("budget.target", target, 1, MAX_TARGET),
            Scope::EachLabel(label) => name("budget.each_label", label),
            Scope::Label(label, value) => {
                name("budget.label", label)?;
                text("budget.label", value, 0, MAX_TARGET)
            }
        }
    }

    /// The log in which `action` counts, `None` where this budget says nothing about it.
    pub(crate) fn log_of(&self, action: &Action) -> Option<String> {
        match &self.scope {
            Scope::Everything => Some("all".to_owned()),
            Scope::EachKind => Some(format!("kind={}", action.kind)),
            Scope::Kind(kind) => (*kind == action.kind).then(|| format!("kind={kind}")),
            Scope::EachTarget => Some(format!("target={}", action.target)),
            Scope::Target(target) => (*target == action.target).then(|| format!("target={target}")),
            Scope::EachLabel(name) => Some(format!("label={name}={}", action.value_of(name))),
            Scope::Label(name, value) => (action.value_of(name) == value).then(|| format!("label={name}={value}")),
        }
    }

    /// The log that this budget reads whatever the action is, if there is one.
    pub(crate) fn fixed_log(&self) -> Option<String> {
        match &self.scope {
            Scope::Everything => Some("all".to_owned()),
            Scope::Kind(kind) => Some(format!("kind={kind}")),
            Scope::Target(target) => Some(format!("target={target}")),
            Scope::Label(name, value) => Some(format!("label={name}={value}")),
            Scope::EachKind | Scope::EachTarget | Scope::EachLabel(_) => None,
        }
    }

    pub(crate) fn window_ms(&self) -> u64 {
        millis(self.per)
    }
}

/// `5 per 15 min`, `2 per 1 h for each target`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.of, spoken(self.per))?;
        match &self.scope {
            Scope::Everything => Ok(()),
            Scope::EachKind => f.write_str(" for each kind"),
            Scope::EachTarget => f.write_str(" for each target"),
            Scope::EachLabel(name) => write!(f, " for each {name}"),
            Scope::Kind(text) | Scope::Target(text) => write!(f, " for {}", Shown(text)),
            Scope::Label(name, value) => write!(f, " for {name} {}", Shown(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_cannot_work_is_an_error_that_says_what_is_allowed() {
        let second = Duration::from_secs(1);
        let cases = [
            (Budget::of(0), "1 to 100000"),
            (Budget::of(u32::MAX), "4294967295"),
            (Budget::of(1).per(Duration::ZERO), "1 ms to 35 days"),
            (Budget::of(1).per(Duration::from_micros(10)), "1 ms to 35 days"),
            (Budget::of(1).per(MAX_WINDOW + second), "35 days"),
            (Budget::of(1).per(Duration::MAX), "35 days"),
            (Budget::of(1).when_spent(Freeze::For(Duration::ZERO)), "365 days"),
            (Budget::of(1).target(""), "1 to 1024 bytes"),
            (Budget::of(1).kind("a\nb"), "control"),
            (Budget::of(1).each_label("a b"), "a b"),
        ];
        for (budget, hint) in cases {
            let error = budget.validate().expect_err("refused").to_string();
            assert!(error.contains(hint), "{error} should name {hint}");
        }
        assert!(Budget::of(1).per(MAX_WINDOW).validate().is_ok());
    }

    #[test]
    fn a_budget_counts_what_its_scope_says_and_nothing_else() {
        let action = Action::new("restart", "api").label("ns", "shop");
        let log = |budget: Budget| budget.log_of(&action);
        assert_eq!(log(Budget::of(1)).as_deref(), Some("all"));
        assert_eq!(log(Budget::of(1).kind("purge")), None);
        assert_eq!(log(Budget::of(1).each_kind()), log(Budget::of(1).kind("restart")));
        assert_eq!(log(Budget::of(1).each_target()), log(Budget::of(2).target("api")));
        assert_eq!(
            log(Budget::of(1).each_label("ns")),
            log(Budget::of(2).label("ns", "shop"))
        );
        assert_eq!(log(Budget::of(1).each_label("zone")).as_deref(), Some("label=zone="));
    }
}
