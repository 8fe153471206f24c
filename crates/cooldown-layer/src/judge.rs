//! The way of a request: rules, own account, store, and what to do without one.

use std::sync::Arc;
use std::time::Duration;

use crate::action::Action;
use crate::audit::{By, Decision};
use crate::cooldown::Cooldown;
use crate::error::{Reason, Refused};
use crate::frequency::Level;
use crate::id::{DecisionId, dice};
use crate::lease::{Grant, Lease};
use crate::observe;
use crate::policy::StoreFailure;
use crate::store::{Answer, Ask, Because, BudgetAsk, LogAsk, Operation, StoreError, StoreErrorKind, Track};
use crate::wall::{millis, moment};

/// How a request was decided.
struct Judgement {
    by: By,
    at_ms: u64,
    /// The units in the window of each budget that was asked, or why not.
    outcome: Result<Vec<u64>, Reason>,
}

impl Cooldown {
    pub(crate) async fn judge(&self, action: Action) -> Result<Lease, Refused> {
        let policy = &self.0.policy;
        let id = DecisionId::new();
        let (asked, budgets) = if let Some(reason) = self.objection(&action) {
            (Err(reason), Vec::new())
        } else {
            let (ask, budgets) = self.ask(id, &action);
            (Ok(Arc::new(Operation::Decide(ask))), budgets)
        };
        let judgement = match &asked {
            Ok(operation) => self.decide(operation, &budgets).await,
            Err(reason) => self.judgement(By::Rules, Err(reason.clone())),
        };
        let Judgement { by, at_ms, outcome } = judgement;
        let (used, refused) = match outcome {
            Ok(used) => (used, None),
            Err(reason) => (Vec::new(), Some(Refused::new(&policy.name, &action, reason, at_ms))),
        };
        let figures = |(index, used): (&usize, u64)| (&*policy.budget_texts[*index], used, policy.budgets[*index].of);
        let decision = Decision {
            cooldown: &policy.name,
            id,
            action: &action,
            by,
            at_ms,
            refused: refused.as_ref(),
            budgets: budgets.iter().zip(used).map(figures).collect(),
            dry_run: policy.rules.dry_run,
        };
        self.observe_frost(&decision, &budgets);
        observe::decided(&decision);
        if let Some(auditor) = &policy.auditor {
            auditor.hear(&decision);
        }
        match refused {
            Some(refused) if !policy.rules.dry_run => Err(refused),
            refused => {
                let track = asked.ok().and_then(|operation| match &*operation {
                    Operation::Decide(ask) => ask.track.clone(),
                    _ => None,
                });
                let ends_ms = at_ms.saturating_add(millis(policy.rules.lease));
                Ok(Lease::new(
                    self.clone(),
                    Grant {
                        id,
                        track,
                        at_ms,
                        ends_ms,
                        refused,
                    },
                ))
            }
        }
    }

    /// What the rules alone say against it.
    fn objection(&self, action: &Action) -> Option<Reason> {
        let policy = &self.0.policy;
        if let Some(fault) = action.fault() {
            return Some(fault);
        }
        if let Some(rule) = policy.protected.covers(&action.target) {
            return Some(Reason::Protected { rule: rule.to_string() });
        }
        let (index, budget) = policy
            .budgets
            .iter()
            .enumerate()
            .find(|(_, budget)| budget.of < action.cost && budget.log_of(action).is_some())?;
        let what = format!(
            "is {}; budget {} never gives over {}",
            action.cost, policy.budget_texts[index], budget.of
        );
        Some(Reason::Invalid { field: "cost", what })
    }

    /// What to ask a store, and which budgets that is about.
    fn ask(&self, id: DecisionId, action: &Action) -> (Ask, Vec<usize>) {
        let policy = &self.0.policy;
        let rules = &policy.rules;
        let counted = policy.budgets.iter().enumerate();
        let counted = counted.filter_map(|(index, budget)| Some((index, budget.log_of(action)?)));
        let (logs, budgets, indices) = self.logs(counted);
        let space = policy
            .ledger
            .as_ref()
            .map_or(&policy.name, |ledger| ledger.shared_name());
        let track = action
            .anomaly
            .map(|key| Track::new(space.clone(), key, action.kind.clone()));
        let person = policy
            .ledger
            .as_ref()
            .filter(|_| track.is_some() && !rules.past_permanent_fix);
        let ask = Ask {
            id,
            cooldown: policy.name.clone(),
            cost: action.cost,
            lease_ms: millis(rules.lease),
            logs,
            budgets,
            futile: rules.track.filter(|rule| track.is_some() && !dice(rule.explore)),
            track,
            person: person.map(|ledger| (ledger.shared_name().clone(), ledger.escalation().permanent_fix)),
        };
        (ask, indices)
    }

    /// The logs of these budgets, each once, and the budgets in terms of them.
    pub(crate) fn logs(
        &self,
        counted: impl Iterator<Item = (usize, String)>,
    ) -> (Vec<LogAsk>, Vec<BudgetAsk>, Vec<usize>) {
        let policy = &self.0.policy;
        let (mut logs, mut budgets, mut indices): (Vec<LogAsk>, Vec<_>, Vec<_>) = Default::default();
        for (index, scope) in counted {
            let budget = &policy.budgets[index];
            let (key, per_ms) = (format!("{}:{scope}", policy.name), budget.window_ms());
            let log = logs.iter().position(|log| log.key == key).unwrap_or_else(|| {
                logs.push(LogAsk { key, keep_ms: 0 });
                logs.len() - 1
            });
            logs[log].keep_ms = logs[log].keep_ms.max(per_ms);
            budgets.push(BudgetAsk {
                log,
                of: budget.of,
                per_ms,
                freeze: budget.freeze,
            });
            indices.push(index);
        }
        (logs, budgets, indices)
    }

    async fn decide(&self, operation: &Arc<Operation>, budgets: &[usize]) -> Judgement {
        let Operation::Decide(ask) = &**operation else {
            return self.judgement(By::Rules, Err(Reason::EmptyTarget)); // `judge` asks with nothing else
        };
        let account = &self.0.account;
        // An instance that has spent the budget by itself needs no store to be refused.
        if let Some(because) = account.is_over(ask) {
            return self.judgement(By::Local, Err(self.reason(because, budgets)));
        }
        let answer = match self.pay_debts().await {
            Ok(()) => self.ask_store(operation.clone()).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Answer::Granted { at_ms, used }) => match account.take(ask) {
                None => Judgement {
                    by: By::Store,
                    at_ms,
                    outcome: Ok(used),
                },
                Some(because) => self.judgement(By::Local, Err(self.reason(because, budgets))),
            },
            Ok(Answer::Refused { at_ms, because }) => {
                if let Because::Frozen(frost) = &because {
                    account.hear_of(ask, frost);
                }
                Judgement {
                    by: By::Store,
                    at_ms,
                    outcome: Err(self.reason(because, budgets)),
                }
            }
            Ok(_) => {
                let error = StoreError::new(StoreErrorKind::Other, "the store answered something else");
                self.without_store(operation, budgets, error)
            }
            Err(error) => self.without_store(operation, budgets, error),
        }
    }

    fn without_store(&self, operation: &Arc<Operation>, budgets: &[usize], error: StoreError) -> Judgement {
        let account = &self.0.account;
        let unavailable = |error| Err(Reason::StoreUnavailable { error });
        match self.0.policy.rules.store_failure {
            StoreFailure::Allow => {
                let frozen = match &**operation {
                    Operation::Decide(ask) => account.frozen(ask),
                    _ => None,
                };
                if let Some(because) = frozen {
                    return self.judgement(By::Local, Err(self.reason(because, budgets)));
                }
                account.give(operation);
                self.judgement(By::Default, Ok(Vec::new()))
            }
            // A store that is full is there: its word, that it cannot keep what it would give, holds.
            StoreFailure::Local if error.kind() != StoreErrorKind::Full => match account.decide(operation) {
                Ok(Answer::Granted { at_ms, used }) => Judgement {
                    by: By::Local,
                    at_ms,
                    outcome: Ok(used),
                },
                Ok(Answer::Refused { at_ms, because }) => Judgement {
                    by: By::Local,
                    at_ms,
                    outcome: Err(self.reason(because, budgets)),
                },
                Ok(_) => self.judgement(By::Default, unavailable(error)),
                Err(full) => self.judgement(By::Default, unavailable(full)),
            },
            _ => self.judgement(By::Default, unavailable(error)),
        }
    }

    fn judgement(&self, by: By, outcome: Result<Vec<u64>, Reason>) -> Judgement {
        Judgement {
            by,
            at_ms: self.0.account.now_ms(),
            outcome,
        }
    }

    /// A store's reason in the words of this cooldown.
    fn reason(&self, because: Because, budgets: &[usize]) -> Reason {
        let policy = &self.0.policy;
        let text = |index: usize| budgets.get(index).map_or("", |index| &policy.budget_texts[*index]);
        let of = |index: usize| budgets.get(index).map_or(0, |index| policy.budgets[*index].of);
        match because {
            Because::Frozen(frost) => Reason::Frozen {
                since: moment(frost.since_ms),
                until: frost.until_ms.map(moment),
                reason: frost.reason,
            },
            Because::BudgetFrozen { budget, frost } => Reason::Frozen {
                since: moment(frost.since_ms),
                until: frost.until_ms.map(moment),
                reason: format!("budget {} was spent", text(budget)),
            },
            Because::OverBudget { budget, used, wait_ms } => Reason::OverBudget {
                budget: text(budget).to_owned(),
                used,
                of: of(budget),
                retry_after: wait_ms.map(Duration::from_millis),
            },
            Because::Futile { succeeded, tried } => Reason::Futile { succeeded, tried },
            Because::Person { .. } => Reason::NeedsHuman {
                level: Level::PermanentFix,
            },
        }
    }

    /// Keeps the gauge: frozen, or a budget over everything is spent.
    fn observe_frost(&self, decision: &Decision<'_>, budgets: &[usize]) {
        let policy = &self.0.policy;
        let whole = |index: &usize| policy.budgets[*index].fixed_log().is_some();
        match decision.refused.map(Refused::reason) {
            Some(Reason::Frozen { .. }) => observe::gauge(&policy.name, true),
            Some(Reason::OverBudget { budget, .. }) => {
                let frozen = budgets
                    .iter()
                    .any(|index| whole(index) && policy.budget_texts[*index] == *budget);
                if frozen {
                    observe::gauge(&policy.name, true);
                }
            }
            Some(_) => {}
            None => {
                let spent = budgets
                    .iter()
                    .zip(&decision.budgets)
                    .any(|(index, (_, used, of))| whole(index) && *used >= u64::from(*of));
                observe::gauge(&policy.name, spent);
            }
        }
    }
}
