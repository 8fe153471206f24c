//! A plain reference: it keeps every grant for ever and counts by looking at all of them.

use std::sync::Arc;
use std::time::Duration;

use cooldown_layer::store::{Ask, Operation, Store, StoreError, StoreErrorKind, StoreFuture};
use cooldown_layer::{
    Action, AnomalyKey, Budget, Cooldown, DecisionId, Freeze, Lease, ManualWall, Reason, Scope, Signature,
    StoreFailure, WallClock,
};

use super::Rng;

struct Grant {
    at: u64,
    kind: &'static str,
    target: &'static str,
    ns: Option<&'static str>,
    cost: u64,
}

/// A lease whose outcome the reference waits for.
struct Held {
    lease: Option<Lease>,
    record: Option<(AnomalyKey, &'static str)>,
    ends: u64,
}

struct Reference {
    budgets: Vec<Budget>,
    grants: Vec<Grant>,
    /// For each budget and each thing it counts: the end of its freeze.
    cold: Vec<(usize, String, Option<u64>)>,
    frozen: bool,
    outcomes: Vec<((AnomalyKey, &'static str), u64, bool)>,
}

impl Reference {
    /// What a budget counts an action under, or `None` where it says nothing about it.
    fn counted(budget: &Budget, grant: &Grant) -> Option<String> {
        let ns = grant.ns.unwrap_or("");
        match budget.scope() {
            Scope::Everything => Some(String::new()),
            Scope::EachKind => Some(grant.kind.to_owned()),
            Scope::Kind(kind) => (kind == grant.kind).then(String::new),
            Scope::EachTarget => Some(grant.target.to_owned()),
            Scope::Target(target) => (target == grant.target).then(String::new),
            Scope::EachLabel(_) => Some(ns.to_owned()),
            Scope::Label(_, value) => (value == ns).then(String::new),
            _ => unreachable!("no other scope"),
        }
    }

    fn used(&self, budget: &Budget, under: &str, now: u64) -> u64 {
        let window = budget.window().as_millis() as u64;
        let counts = |grant: &&Grant| grant.at + window > now && Self::counted(budget, grant).as_deref() == Some(under);
        self.grants.iter().filter(counts).map(|grant| grant.cost).sum()
    }

    /// What must be answered.
    fn judge(&self, wish: &Grant, record: Option<(AnomalyKey, &'static str)>) -> &'static str {
        if self.frozen {
            return "frozen";
        }
        if let Some(record) = record {
            let of = self
                .outcomes
                .iter()
                .filter(|(of, ..)| *of == record)
                .map(|(.., good)| *good);
            let last: Vec<bool> = of.collect();
            let last = &last[last.len().saturating_sub(100)..];
            let good = last.iter().filter(|good| **good).count();
            if last.len() >= 2 && (good as f64) < 0.2 * last.len() as f64 {
                return "futile";
            }
        }
        let counted: Vec<_> = self
            .budgets
            .iter()
            .enumerate()
            .filter_map(|(i, b)| Some((i, b, Self::counted(b, wish)?)))
            .collect();
        if self.is_over(wish) {
            return "over_budget";
        }
        let cold = |index: usize, under: &String| {
            self.cold
                .iter()
                .any(|(i, u, ends)| (*i, u) == (index, under) && ends.is_none_or(|ends| ends > wish.at))
        };
        if counted.iter().any(|(index, _, under)| cold(*index, under)) {
            "frozen"
        } else {
            "granted"
        }
    }

    fn is_over(&self, wish: &Grant) -> bool {
        let over = |b: &Budget| {
            let used = Self::counted(b, wish).map(|under| self.used(b, &under, wish.at));
            used.is_some_and(|used| used + wish.cost > u64::from(b.units()))
        };
        self.budgets.iter().any(over)
    }

    fn give(&mut self, grant: Grant, freezes: &[Freeze]) {
        let now = grant.at;
        let counted: Vec<_> = self
            .budgets
            .iter()
            .enumerate()
            .filter_map(|(i, b)| Some((i, Self::counted(b, &grant)?)))
            .collect();
        self.grants.push(grant);
        for (index, under) in counted {
            if self.used(&self.budgets[index], &under, now) >= u64::from(self.budgets[index].units()) {
                let ends = match freezes[index] {
                    Freeze::For(time) => Some(now + time.as_millis() as u64),
                    Freeze::UntilThaw => None,
                    _ => continue,
                };
                self.cold.retain(|(i, u, _)| (*i, u) != (index, &under));
                self.cold.push((index, under, ends));
            }
        }
    }

    /// Never more than n in any window, over every scope, by all that was ever given.
    fn check(&self) {
        for budget in &self.budgets {
            let window = budget.window().as_millis() as u64;
            for last in &self.grants {
                let Some(under) = Self::counted(budget, last) else {
                    continue;
                };
                let inside = |g: &&Grant| g.at <= last.at && g.at + window > last.at;
                let same = |g: &&Grant| Self::counted(budget, g).as_ref() == Some(&under);
                let used: u64 = self.grants.iter().filter(inside).filter(same).map(|g| g.cost).sum();
                assert!(
                    used <= u64::from(budget.units()),
                    "{budget}: {used} in the window that ends at {}",
                    last.at
                );
            }
        }
    }
}

const KINDS: [&str; 3] = ["restart", "purge", "failover"];
const TARGETS: [&str; 4] = ["api", "web", "db", "{x}:y"];
const SPACES: [Option<&str>; 3] = [None, Some("prod"), Some("dev")];

fn budgets(rng: &mut Rng) -> (Vec<Budget>, Vec<Freeze>) {
    let windows = [1_u64, 50, 1_000, 60_000];
    let all = (0..=rng.below(4)).map(|_| {
        let scope = match rng.below(7) {
            0 | 1 => Scope::Everything,
            2 => Scope::EachKind,
            3 => Scope::Kind("purge".into()),
            4 => Scope::EachTarget,
            5 => Scope::EachLabel("ns".into()),
            _ => Scope::Label("ns".into(), "prod".into()),
        };
        let freeze = match rng.below(4) {
            0 => Freeze::For(Duration::from_millis(1 + rng.below(3_000))),
            1 if rng.one_in(2) => Freeze::UntilThaw,
            _ => Freeze::UntilWindowClears,
        };
        let per = Duration::from_millis(windows[rng.below(4) as usize] * (1 + rng.below(3)));
        (
            Budget::of(2 + rng.below(6) as u32)
                .per(per)
                .over(scope)
                .when_spent(freeze),
            freeze,
        )
    });
    let mut all: Vec<_> = all.collect();
    // Two budgets that are the same freeze as one: keep them apart.
    all.dedup_by(|a, b| a.0.scope() == b.0.scope());
    all.into_iter().unzip()
}

pub async fn walk(store: Arc<dyn Store>, clock: &ManualWall, seed: u64, steps: u64) {
    walk_with(&mut |store| store, store, clock, seed, steps).await;
}

/// Random actions, outcomes and time steps; each answer must be that of the reference.
pub async fn walk_with(
    reopen: &mut (dyn FnMut(Arc<dyn Store>) -> Arc<dyn Store> + Send),
    mut store: Arc<dyn Store>,
    clock: &ManualWall,
    seed: u64,
    steps: u64,
) {
    let mut rng = Rng(seed);
    let (budgets, freezes) = budgets(&mut rng);
    let name = format!("walk-{seed}-{}", DecisionId::new());
    let lease_ms = [5, 400, 100_000][rng.below(3) as usize];
    let build = |store: &Arc<dyn Store>| {
        let builder = budgets
            .iter()
            .cloned()
            .fold(Cooldown::builder(&name), cooldown_layer::CooldownBuilder::budget);
        let builder = builder
            .lease_time(Duration::from_millis(lease_ms))
            .store_timeout(Duration::from_secs(20));
        builder
            .store(store.clone())
            .on_store_failure(StoreFailure::Refuse)
            .build()
            .expect("valid")
    };
    // Two handles, as two instances would have them.
    let mut handles = vec![build(&store), build(&store)];
    let keys = [Signature::new("Down").key(), Signature::new("Slow").key()];
    let mut reference = Reference {
        budgets: budgets.clone(),
        grants: Vec::new(),
        cold: Vec::new(),
        frozen: false,
        outcomes: Vec::new(),
    };
    let mut held: Vec<Held> = Vec::new();
    for step in 0..steps {
        let now = clock.now_ms();
        // A lease that has outlived its time has failed, at that time.
        for late in held.iter_mut().filter(|held| held.ends <= now) {
            if let Some(record) = late.record.take() {
                reference.outcomes.push((record, late.ends, false));
            }
        }
        reference.outcomes.sort_by_key(|(_, at, _)| *at);
        let handle = handles[rng.below(2) as usize].clone();
        match rng.below(20) {
            0..=10 => {
                let ns = SPACES[rng.below(3) as usize];
                let (kind, target) = (KINDS[rng.below(3) as usize], TARGETS[rng.below(4) as usize]);
                let cost = 1 + rng.below(2);
                let record = rng.one_in(2).then(|| (keys[rng.below(2) as usize], kind));
                let mut action = Action::new(kind, target).cost(cost as u32);
                action = ns.into_iter().fold(action, |action, ns| action.label("ns", ns));
                action = record.iter().fold(action, |action, (key, _)| action.because_of(*key));
                let wish = Grant {
                    at: now,
                    kind,
                    target,
                    ns,
                    cost,
                };
                let want = reference.judge(&wish, record);
                let got = handle.request(action).await;
                let said = got.as_ref().err().map(ToString::to_string);
                let word = super::word(&got);
                // An instance that is over the budget by itself says so before it asks anybody for more reasons.
                let hasty = word == "over_budget" && want != "granted" && reference.is_over(&wish);
                assert!(
                    word == want || hasty,
                    "{word} != {want}: seed {seed} step {step} at {now}: {said:?}"
                );
                match got {
                    Ok(lease) => {
                        reference.give(wish, &freezes);
                        held.push(Held {
                            lease: Some(lease),
                            record,
                            ends: now + lease_ms,
                        });
                    }
                    Err(refused) => {
                        // What it says about the time is true: with nothing else, it fits then and not before.
                        if let (Reason::OverBudget { .. }, Some(wait)) = (refused.reason(), refused.retry_after()) {
                            let after = |ms: u128| Grant {
                                at: now + ms as u64,
                                ..wish
                            };
                            assert_ne!(
                                reference.judge(&after(wait.as_millis() - 1), None),
                                "granted",
                                "seed {seed} step {step}"
                            );
                        }
                    }
                }
            }
            11..=14 if !held.is_empty() => {
                let index = rng.below(held.len() as u64) as usize;
                let mut ended = held.swap_remove(index);
                let lease = ended.lease.take().expect("held");
                match rng.below(4) {
                    0 | 1 => {
                        lease.succeeded().await;
                        reference
                            .outcomes
                            .extend(ended.record.map(|record| (record, now, true)));
                    }
                    2 => {
                        lease.failed().await;
                        reference
                            .outcomes
                            .extend(ended.record.map(|record| (record, now, false)));
                    }
                    _ => {
                        drop(lease);
                        handle.status().await;
                        handles[0].status().await;
                        handles[1].status().await;
                    }
                }
            }
            15..=17 => clock.advance(Duration::from_millis(
                [1, 7, 60, 400, 5_000, 61_000][rng.below(6) as usize],
            )),
            18 if rng.one_in(3) => {
                if reference.frozen || rng.one_in(2) {
                    handle.thaw().await.expect("heard");
                    (reference.frozen, reference.cold) = (false, Vec::new());
                } else {
                    handle.freeze("random").await.expect("heard");
                    reference.frozen = true;
                }
            }
            _ if rng.one_in(4) => {
                // A restart: the handles are gone, and with them what only they knew.
                for ended in held.drain(..) {
                    drop(ended.lease); // leaves word in a handle that is about to go
                    if let Some(record) = ended.record {
                        reference.outcomes.push((record, ended.ends, false));
                    }
                }
                // Nobody settles what was open: let it run out, so that the reference need not wait for it.
                clock.advance(Duration::from_millis(lease_ms));
                handles.clear();
                drop(handle);
                store = reopen(store);
                handles = vec![build(&store), build(&store)];
            }
            _ => {}
        }
    }
    reference.check();
}

/// What a cooldown of one budget over everything would ask.
pub fn ask(cooldown: &str, of: u32, per_ms: u64, id: DecisionId) -> Ask {
    let catch = Catch::default();
    let asked = catch.asked.clone();
    let repairs = Cooldown::builder(cooldown)
        .budget(Budget::of(of).per(Duration::from_millis(per_ms)))
        .store(catch)
        .on_store_failure(StoreFailure::Refuse)
        .build()
        .expect("valid");
    let request = repairs.request(Action::new("restart", "api"));
    let mut request = std::pin::pin!(request);
    let _ = std::future::Future::poll(
        request.as_mut(),
        &mut std::task::Context::from_waker(std::task::Waker::noop()),
    );
    let asked = asked.lock().expect("one thread").take().expect("asked");
    match &*asked {
        Operation::Decide(ask) => {
            let mut ask = ask.clone();
            ask.id = id;
            ask
        }
        other => panic!("not a decision: {other:?}"),
    }
}

/// Catches what is asked.
#[derive(Default)]
struct Catch {
    asked: Arc<std::sync::Mutex<Option<Arc<Operation>>>>,
}

impl Store for Catch {
    fn name(&self) -> &'static str {
        "catch"
    }

    fn run(&self, operation: Arc<Operation>) -> StoreFuture<'_> {
        *self.asked.lock().expect("one thread") = Some(operation);
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Other, "caught")) })
    }
}
