//! What this instance knows by itself: the leases it has taken, and what the store has not heard yet.
//!
//! The account is what makes an outage harmless. It is asked before every decision, whoever makes it, so that this
//! instance never takes more than the budget in any window: not when the store is away, not when it comes back, and
//! not when it comes back empty.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::{Bounds, Change, Engine};
use crate::store::{Answer, Ask, Because, Frost, Operation, Owed, Settlement, StoreError};
use crate::wall::WallClock;

/// More ends of leases than this are not kept for a store that is away; their leases end by their time.
const MOST_UNSETTLED: usize = 10_000;

pub(crate) struct Account {
    state: Mutex<State>,
    clock: Arc<dyn WallClock>,
    /// False where the store cannot be away: then nothing needs to be known twice.
    needed: bool,
    /// Whether what this instance has taken by itself bounds it. Not where an absent store allows everything.
    bounds: bool,
}

#[derive(Default)]
struct State {
    engine: Engine,
    debts: Debts,
}

/// What the store has to hear, in this order.
#[derive(Default, Clone)]
pub(crate) struct Debts {
    /// Given while the store was away: the operation, and when.
    given: Vec<(Arc<Operation>, u64)>,
    /// Somebody froze the cooldown, and the store did not hear it.
    frozen: Option<String>,
    settled: VecDeque<Settlement>,
}

impl Debts {
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.frozen.is_none() && self.settled.is_empty()
    }
}

impl Account {
    pub(crate) fn new(clock: Arc<dyn WallClock>, needed: bool, bounds: bool) -> Self {
        let engine = Engine::new(Bounds::default());
        Self {
            state: Mutex::new(State {
                engine,
                debts: Debts::default(),
            }),
            clock,
            needed,
            bounds,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is left half done by a panic: changes are applied one after the other, each whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Whether this instance alone has spent a budget already.
    pub(crate) fn is_over(&self, ask: &Ask) -> Option<Because> {
        if !(self.needed && self.bounds) {
            return None;
        }
        let now = self.clock.now_ms();
        self.state().engine.over_budget(ask, now)
    }

    /// Whether somebody froze the cooldown, as far as this instance has heard.
    pub(crate) fn frozen(&self, ask: &Ask) -> Option<Because> {
        let now = self.clock.now_ms();
        self.state().engine.frozen(ask, now)
    }

    /// Decides in the place of the store. What is given is owed to the store.
    pub(crate) fn decide(&self, operation: &Arc<Operation>) -> Result<Answer, StoreError> {
        let mut state = self.state();
        let now = self.clock.now_ms();
        let mut changes = Vec::new();
        state.engine.tidy(now, &mut changes);
        state.apply(changes);
        let mut changes = Vec::new();
        let answer = state.engine.run(operation, now, &mut changes);
        state.apply(changes);
        if let Ok(Answer::Granted { at_ms, .. }) = answer {
            state.debts.given.push((operation.clone(), at_ms));
        }
        answer
    }

    /// Writes down what was given without asking anybody.
    pub(crate) fn give(&self, operation: &Arc<Operation>) {
        let Operation::Decide(ask) = &**operation else { return };
        let mut state = self.state();
        let now = self.clock.now_ms();
        state.give(ask, now);
        state.debts.given.push((operation.clone(), now));
    }

    /// Writes down what the store gave, unless this instance has spent the budget in the meantime.
    pub(crate) fn take(&self, ask: &Ask) -> Option<Because> {
        if !self.needed {
            return None;
        }
        let mut state = self.state();
        let now = self.clock.now_ms();
        // The store gave, so nothing is frozen there any more.
        let _ = state.run(
            &Operation::Thaw {
                cooldown: ask.cooldown.clone(),
            },
            now,
        );
        let over = if self.bounds {
            state.engine.over_budget(ask, now)
        } else {
            None
        };
        if over.is_none() {
            state.give(ask, now);
        }
        over
    }

    /// Remembers a freeze that the store told of, for the time when it is away.
    pub(crate) fn hear_of(&self, ask: &Ask, frost: &Frost) {
        if self.needed {
            let key = ask.cooldown.to_string();
            self.state().engine.apply(Change::Freeze {
                key,
                frost: frost.clone(),
            });
        }
    }

    /// Does an operation on the account alone.
    pub(crate) fn run(&self, operation: &Operation) -> Result<Answer, StoreError> {
        let mut state = self.state();
        let now = self.clock.now_ms();
        state.run(operation, now)
    }

    pub(crate) fn owe_freeze(&self, reason: Option<String>) {
        self.state().debts.frozen = reason;
    }

    /// The end of a lease: for the account now, for the store with the next call.
    pub(crate) fn owe(&self, settlement: Settlement) {
        let mut state = self.state();
        let now = self.clock.now_ms();
        if self.needed {
            let _ = state.run(&Operation::Settle(vec![settlement.clone()]), now);
        }
        if state.debts.settled.len() >= MOST_UNSETTLED {
            state.debts.settled.pop_front();
        }
        state.debts.settled.push_back(settlement);
    }

    pub(crate) fn debts(&self) -> Option<Debts> {
        let state = self.state();
        (!state.debts.is_empty()).then(|| state.debts.clone())
    }

    /// These have been heard. What was added in the meantime stays.
    pub(crate) fn paid(&self, debts: &Debts) {
        let mut state = self.state();
        let id = |operation: &Operation| match operation {
            Operation::Decide(ask) => Some(ask.id),
            _ => None,
        };
        let given = &mut state.debts.given;
        given.retain(|(own, _)| !debts.given.iter().any(|(paid, _)| id(paid) == id(own)));
        state
            .debts
            .settled
            .retain(|own| !debts.settled.iter().any(|paid| paid.id == own.id));
        if state.debts.frozen == debts.frozen {
            state.debts.frozen = None;
        }
    }

    /// The operations by which debts are paid.
    pub(crate) fn payments(&self, cooldown: &Arc<str>, debts: &Debts) -> Vec<Operation> {
        let now = self.clock.now_ms();
        let mut payments = Vec::new();
        if let Some(reason) = &debts.frozen {
            payments.push(Operation::Freeze {
                cooldown: cooldown.clone(),
                reason: reason.clone(),
            });
        }
        let owed = |(ask, at): &(Arc<Operation>, u64)| Owed {
            ask: ask.clone(),
            age_ms: now.saturating_sub(*at),
        };
        if !debts.given.is_empty() {
            payments.push(Operation::Repay(debts.given.iter().map(owed).collect()));
        }
        if !debts.settled.is_empty() {
            payments.push(Operation::Settle(debts.settled.iter().cloned().collect()));
        }
        payments
    }
}

impl State {
    fn run(&mut self, operation: &Operation, now: u64) -> Result<Answer, StoreError> {
        let mut changes = Vec::new();
        let answer = self.engine.run(operation, now, &mut changes);
        self.apply(changes);
        answer
    }

    fn give(&mut self, ask: &Ask, now: u64) {
        let mut changes = Vec::new();
        self.engine.repay(ask, now, now, &mut changes);
        self.apply(changes);
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.engine.apply(change);
        }
    }
}
