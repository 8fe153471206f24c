//! What can be seen of a cooldown.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::action::Action;
use crate::cooldown::Cooldown;
use crate::id::DecisionId;
use crate::store::{Answer, Ask, Frost, Operation, StoreError, View};
use crate::wall::{millis, moment};

/// What [`Cooldown::status`] shows. See there for an example.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Status {
    /// The name of the cooldown.
    pub name: String,
    /// By which clock reading this was seen.
    pub at: SystemTime,
    /// Frozen as a whole by somebody.
    pub frozen: Option<Frozen>,
    /// The budgets in question.
    pub budgets: Vec<BudgetStatus>,
    /// Leases that have not ended.
    pub open_leases: u64,
    /// Whether it refuses nothing.
    pub dry_run: bool,
    /// Which store keeps it.
    pub store: &'static str,
    /// Why these are only the figures of this instance, if the store gave no answer.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_words"))]
    pub fault: Option<StoreError>,
}

/// A freeze: since when, until when, why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Frozen {
    /// Since when.
    pub since: SystemTime,
    /// Until when; `None` means until somebody thaws it.
    pub until: Option<SystemTime>,
    /// Why.
    pub reason: String,
}

/// One budget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BudgetStatus {
    /// As in `5 per 15 min`.
    pub budget: String,
    /// Units in its window.
    pub used: u64,
    /// Units it gives.
    pub of: u32,
    /// How long until one unit fits; zero when it fits now.
    pub room_in: Duration,
    /// Its freeze, if it was spent and freezes for longer than its window.
    pub frozen: Option<Frozen>,
}

impl Cooldown {
    pub(crate) async fn look(&self, action: Option<&Action>) -> Status {
        let policy = &self.0.policy;
        let budgets = policy.budgets.iter().enumerate();
        let counted = budgets.filter_map(|(index, budget)| {
            Some((
                index,
                action.map_or_else(|| budget.fixed_log(), |action| budget.log_of(action))?,
            ))
        });
        let (logs, budgets, indices) = self.logs(counted);
        let operation = Arc::new(Operation::Look(Ask {
            id: DecisionId::new(),
            cooldown: policy.name.clone(),
            cost: 1,
            lease_ms: millis(policy.rules.lease),
            logs,
            budgets,
            track: None,
            futile: None,
            person: None,
        }));
        let answer = match self.pay_debts().await {
            Ok(()) => self.ask_store(operation.clone()).await,
            Err(error) => Err(error),
        };
        let (view, fault) = match answer {
            Ok(Answer::Seen(view)) => (view, None),
            other => {
                let own = match self.0.account.run(&operation) {
                    Ok(Answer::Seen(view)) => view,
                    _ => View::default(),
                };
                (own, other.err())
            }
        };
        let budget = |(index, (used, wait, frost)): (usize, (u64, u64, Option<Frost>))| BudgetStatus {
            budget: policy.budget_texts[index].clone(),
            used,
            of: policy.budgets[index].of,
            room_in: Duration::from_millis(wait),
            frozen: frost.map(|frost| frozen(frost, Some(&policy.budget_texts[index]))),
        };
        Status {
            name: policy.name.to_string(),
            at: moment(view.at_ms),
            frozen: view.frozen.map(|frost| frozen(frost, None)),
            budgets: indices.into_iter().zip(view.budgets).map(budget).collect(),
            open_leases: view.open_leases,
            dry_run: policy.rules.dry_run,
            store: policy.store.name(),
            fault,
        }
    }
}

fn frozen(frost: Frost, budget: Option<&str>) -> Frozen {
    Frozen {
        since: moment(frost.since_ms),
        until: frost.until_ms.map(moment),
        reason: budget.map_or(frost.reason, |budget| format!("budget {budget} was spent")),
    }
}

#[cfg(feature = "serde")]
#[allow(clippy::ref_option)] // serde asks for this signature
fn in_words<S: serde::Serializer>(fault: &Option<StoreError>, serializer: S) -> Result<S::Ok, S::Error> {
    match fault {
        Some(fault) => serializer.collect_str(fault),
        None => serializer.serialize_none(),
    }
}
