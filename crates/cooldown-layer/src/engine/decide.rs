//! May this action be taken?

use super::log::Log;
use super::{Change, Engine, key_of};
use crate::budget::Freeze;
use crate::id::DecisionId;
use crate::store::{Answer, Ask, Because, BudgetAsk, Frost, Outcome, Settlement, View};
use crate::wall::millis;

/// A decision that is sent again comes soon: it is looked for among so many of the newest. One that is missed counts
/// twice, which is the safe way to be wrong.
const SOON: usize = 64;

impl Engine {
    pub(super) fn decide(&self, ask: &Ask, now: u64, changes: &mut Vec<Change>) -> Answer {
        if self.is_given(ask, SOON) {
            let used = ask.budgets.iter().map(|budget| self.used(ask, budget, now)).collect();
            return Answer::Granted { at_ms: now, used };
        }
        if let Some(because) = self.objection(ask, now) {
            return Answer::Refused { at_ms: now, because };
        }
        self.spend(ask, now, now, changes);
        let used = ask
            .budgets
            .iter()
            .map(|budget| self.used(ask, budget, now) + u64::from(ask.cost))
            .collect();
        Answer::Granted { at_ms: now, used }
    }

    /// The first thing that speaks against it: an operator, the anomaly, the record, then each budget in its order.
    fn objection(&self, ask: &Ask, now: u64) -> Option<Because> {
        if let Some(frozen) = self.frozen(ask, now) {
            return Some(frozen);
        }
        if let (Some((ledger, from)), Some(track)) = (&ask.person, &ask.track) {
            let last_24h = self.counts(&format!("{ledger}:{}", track.key), now).windows[1];
            if last_24h >= *from {
                return Some(Because::Person { last_24h });
            }
        }
        if let (Some(rule), Some(track)) = (&ask.futile, &ask.track) {
            let (succeeded, tried) = self.record_of(track, now);
            if rule.is_futile(succeeded, tried) {
                return Some(Because::Futile { succeeded, tried });
            }
        }
        self.over_budget(ask, now).or_else(|| {
            let freezing = ask
                .budgets
                .iter()
                .enumerate()
                .filter(|(_, of)| of.freeze != Freeze::UntilWindowClears);
            freezing.into_iter().find_map(|(budget, of)| {
                let frost = self.frost(&freeze_key(ask, of), now)?.clone();
                Some(Because::BudgetFrozen { budget, frost })
            })
        })
    }

    /// Whether somebody froze the cooldown.
    pub(crate) fn frozen(&self, ask: &Ask, now: u64) -> Option<Because> {
        self.frost(&ask.cooldown, self.time(now)).cloned().map(Because::Frozen)
    }

    /// The first budget that has no room.
    pub(crate) fn over_budget(&self, ask: &Ask, now: u64) -> Option<Because> {
        let now = self.time(now);
        ask.budgets.iter().enumerate().find_map(|(index, budget)| {
            let used = self.used(ask, budget, now);
            if used + u64::from(ask.cost) <= u64::from(budget.of) {
                return None;
            }
            let log = self.logs.get(log_key(ask, budget))?;
            let room = log.wait(now, budget.per_ms, u64::from(budget.of), u64::from(ask.cost));
            let freezes = budget.freeze != Freeze::UntilWindowClears;
            let wait_ms = match freezes.then(|| self.frost(&freeze_key(ask, budget), now)).flatten() {
                Some(Frost { until_ms: None, .. }) => None,
                Some(Frost {
                    until_ms: Some(until), ..
                }) => Some(room.max(until - now)),
                None => Some(room),
            };
            Some(Because::OverBudget {
                budget: index,
                used,
                wait_ms,
            })
        })
    }

    /// Writes the units at `stamp`, opens the lease, and freezes what is spent by it.
    fn spend(&self, ask: &Ask, stamp: u64, now: u64, changes: &mut Vec<Change>) {
        for log in &ask.logs {
            let upto = now.saturating_sub(log.keep_ms);
            if self
                .logs
                .get(&log.key)
                .and_then(Log::oldest)
                .is_some_and(|oldest| oldest <= upto)
            {
                changes.push(Change::Newest { stamp: now });
                changes.push(Change::Forget {
                    log: log.key.clone(),
                    upto,
                });
            }
            changes.push(Change::Spend {
                log: log.key.clone(),
                stamp,
                id: ask.id,
                cost: ask.cost,
                keep_ms: log.keep_ms,
            });
        }
        for budget in &ask.budgets {
            let until_ms = match budget.freeze {
                Freeze::UntilWindowClears => continue, // the log itself holds it
                Freeze::For(time) => Some(now.saturating_add(millis(time))),
                Freeze::UntilThaw => None,
            };
            if self.used(ask, budget, now) + u64::from(ask.cost) >= u64::from(budget.of) {
                let key = freeze_key(ask, budget);
                changes.push(Change::Freeze {
                    key,
                    frost: Frost::new(now, until_ms, String::new()),
                });
            }
        }
        let expires = stamp.saturating_add(ask.lease_ms);
        self.expire_leases(ask, now, changes);
        changes.push(Change::Open {
            id: ask.id,
            cooldown: ask.cooldown.clone(),
            expires,
            track: ask.track.clone(),
        });
    }

    /// Units that were given elsewhere at `stamp`: no budget is asked, they have been spent.
    pub(crate) fn repay(&self, ask: &Ask, stamp: u64, now: u64, changes: &mut Vec<Change>) {
        if !self.is_given(ask, usize::MAX) {
            self.spend(ask, stamp, now, changes);
        }
    }

    pub(super) fn settle(&self, settlement: &Settlement, now: u64, changes: &mut Vec<Change>) {
        // A lease that is not open any more has been settled, or has outlived its time and counted as failed.
        let Some(lease) = self.leases.get(&settlement.id) else {
            return;
        };
        changes.push(Change::Close { id: settlement.id });
        let Some(track) = lease.track.clone() else { return };
        if lease.expires <= now {
            self.outcome(&track, lease.expires, settlement.id, false, changes);
        } else if settlement.outcome != Outcome::Abandoned {
            self.outcome(
                &track,
                now,
                settlement.id,
                settlement.outcome == Outcome::Succeeded,
                changes,
            );
        }
    }

    /// What stands in the logs, for people.
    pub(super) fn look(&self, ask: &Ask, now: u64) -> Answer {
        let budget = |budget: &BudgetAsk| {
            let log = self.logs.get(log_key(ask, budget));
            let wait = log.map_or(0, |log| log.wait(now, budget.per_ms, u64::from(budget.of), 1));
            (
                self.used(ask, budget, now),
                wait,
                self.frost(&freeze_key(ask, budget), now).cloned(),
            )
        };
        let open = self
            .leases
            .values()
            .filter(|lease| lease.cooldown == ask.cooldown && lease.expires > now);
        Answer::Seen(View {
            at_ms: now,
            frozen: self.frost(&ask.cooldown, now).cloned(),
            budgets: ask.budgets.iter().map(budget).collect(),
            open_leases: open.count() as u64,
        })
    }

    /// Whether this decision is among the newest `most` that were written.
    fn is_given(&self, ask: &Ask, most: usize) -> bool {
        self.leases.contains_key(&ask.id)
            || ask
                .logs
                .first()
                .and_then(|log| self.logs.get(&log.key))
                .is_some_and(|log| log.has(ask.id, most))
    }

    fn used(&self, ask: &Ask, budget: &BudgetAsk, now: u64) -> u64 {
        self.logs
            .get(log_key(ask, budget))
            .map_or(0, |log| log.used(now, budget.per_ms))
    }

    fn frost(&self, key: &str, now: u64) -> Option<&Frost> {
        self.freezes
            .get(key)
            .filter(|frost| frost.until_ms.is_none_or(|until| until > now))
    }

    /// Leases of the same record that have outlived their time: failed, by the contract.
    fn expire_leases(&self, ask: &Ask, now: u64, changes: &mut Vec<Change>) {
        let Some(track) = &ask.track else { return };
        let Some(record) = self.tracks.get(&key_of(track)) else {
            return;
        };
        let late: Vec<DecisionId> = record
            .open
            .iter()
            .filter(|(.., expires)| *expires <= now)
            .map(|(id, ..)| *id)
            .collect();
        for id in late {
            self.expire(id, changes);
        }
    }

    pub(super) fn expire(&self, id: DecisionId, changes: &mut Vec<Change>) {
        let Some(lease) = self.leases.get(&id) else { return };
        changes.push(Change::Close { id });
        if let Some(track) = &lease.track {
            self.outcome(track, lease.expires, id, false, changes);
        }
    }
}

fn log_key<'a>(ask: &'a Ask, budget: &BudgetAsk) -> &'a str {
    &ask.logs[budget.log].key
}

/// Two budgets over one scope freeze each by itself.
fn freeze_key(ask: &Ask, budget: &BudgetAsk) -> String {
    format!("{}|{}/{}", log_key(ask, budget), budget.of, budget.per_ms)
}
