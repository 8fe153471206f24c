//! Every decision, told to whoever wants to hear.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::action::Action;
use crate::error::Refused;
use crate::id::DecisionId;

/// One decision with its figures: what [`on_decision`](crate::CooldownBuilder::on_decision) hears.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use cooldown_layer::{Action, Cooldown};
///
/// # tokio_test::block_on(async {
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let log = lines.clone();
/// let repairs = Cooldown::builder("repairs")
///     .on_decision(move |decision| log.lock().unwrap().push(decision.to_string()))
///     .build()?;
/// let lease = repairs.request(Action::new("restart", "deployment/api")).await?;
/// assert_eq!(lines.lock().unwrap()[0], "action restart on deployment/api granted: 1 of 5 (5 per 15 min)");
/// # lease.succeeded().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Decision<'a> {
    /// The cooldown that decided.
    pub cooldown: &'a str,
    /// The name of the decision.
    pub id: DecisionId,
    /// What was asked for.
    pub action: &'a Action,
    /// Who decided.
    pub by: By,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Why not, if it was refused.
    pub refused: Option<&'a Refused>,
    /// For each budget that counts this action: its text, the units in its window with these, the units it gives.
    /// Empty when it was refused, where the reason has the figures.
    pub budgets: Vec<(&'a str, u64, u32)>,
    /// Whether a refusal was only reported.
    pub dry_run: bool,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum By {
    /// The rules of the cooldown alone: no store was asked.
    Rules,
    /// The store.
    Store,
    /// This instance's own account, because the store gave no answer or because this instance is over the budget.
    Local,
    /// Nobody: the store gave no answer and [`StoreFailure::Allow`](crate::StoreFailure::Allow) or
    /// [`Refuse`](crate::StoreFailure::Refuse) decided.
    Default,
}

impl By {
    /// `rules`, `store`, `local`, `default`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Store => "store",
            Self::Local => "local",
            Self::Default => "default",
        }
    }
}

impl Decision<'_> {
    /// A short fixed word: `granted`, or that of the [`Reason`](crate::Reason).
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.refused.map_or("granted", |refused| refused.reason().as_str())
    }
}

/// One line with the figures.
impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(refused) = self.refused {
            write!(f, "{refused}")?;
            return if self.dry_run {
                f.write_str(" (dry run: allowed)")
            } else {
                Ok(())
            };
        }
        write!(f, "action {} granted", self.action)?;
        for (index, (budget, used, of)) in self.budgets.iter().enumerate() {
            write!(f, "{} {used} of {of} ({budget})", if index == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

type Listener = dyn Fn(&Decision<'_>) + Send + Sync;

#[derive(Clone)]
pub(crate) struct Auditor(Arc<Listener>);

impl Auditor {
    pub(crate) fn new(listener: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub(crate) fn hear(&self, decision: &Decision<'_>) {
        // A listener's panic must not turn a granted action into a lost one.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.0)(decision)));
    }
}
