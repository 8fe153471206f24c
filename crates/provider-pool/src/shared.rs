//! What all clones of a pool share, and the pick.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tower_service::Service;

use crate::bits::Bits;
use crate::error::{Excluded, NoProvider};
use crate::member::Member;
use crate::observe;
use crate::random::Random;
use crate::strategy::{Candidates, Strategy};
use crate::time::{Epoch, nanos};
use crate::why::Out;

/// The providers at one moment: members and services at the same places.
pub(crate) struct List<S> {
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) services: Vec<S>,
}

/// So long after the last pick for which health did not count, in ns, it is said that it counts again.
const PANIC_LASTS: u64 = 10_000_000_000;

/// The checked configuration.
pub(crate) struct Rules {
    pub(crate) attempts: u32,
    pub(crate) max_ejected: f64,
    pub(crate) slow_start: Duration,
    pub(crate) penalty: Duration,
    pub(crate) ready_within: Duration,
    pub(crate) within: Option<Duration>,
}

pub(crate) type Wants<Req> = Box<dyn for<'a> Fn(&'a Req) -> Option<&'a str> + Send + Sync>;
pub(crate) type Repeats<Req> = Box<dyn Fn(&Req) -> Option<Req> + Send + Sync>;
pub(crate) type Deadlines<Req> = Box<dyn Fn(&Req) -> Option<Instant> + Send + Sync>;
pub(crate) type Failures<Res, E> = Box<dyn Fn(&Result<Res, E>) -> bool + Send + Sync>;

pub(crate) struct Hooks<Req, Res, E> {
    pub(crate) wants: Option<Wants<Req>>,
    pub(crate) repeats: Option<Repeats<Req>>,
    pub(crate) deadline: Option<Deadlines<Req>>,
    pub(crate) failure: Option<Failures<Res, E>>,
}

pub(crate) struct Shared<S, Req>
where
    S: Service<Req>,
{
    list: ArcSwap<List<S>>,
    /// Held by whoever changes the list. No call takes it.
    changing: Mutex<()>,
    pub(crate) strategy: Box<dyn Strategy>,
    pub(crate) rules: Rules,
    pub(crate) hooks: Hooks<Req, S::Response, S::Error>,
    pub(crate) random: Random,
    pub(crate) epoch: Epoch,
    pub(crate) next_id: AtomicU64,
    /// Until when it is taken that so many are out that health does not count; 0 when it counts.
    panic_until: AtomicU64,
    /// When the last slow start is over.
    slow_until: AtomicU64,
}

impl<S, Req> Shared<S, Req>
where
    S: Service<Req>,
{
    pub(crate) fn new(
        strategy: Box<dyn Strategy>,
        rules: Rules,
        hooks: Hooks<Req, S::Response, S::Error>,
        seed: Option<u64>,
    ) -> Self {
        Self {
            list: ArcSwap::from_pointee(List {
                members: Vec::new(),
                services: Vec::new(),
            }),
            changing: Mutex::new(()),
            strategy,
            rules,
            hooks,
            random: Random::new(seed.unwrap_or_else(Random::any_seed)),
            epoch: Epoch::begin(),
            next_id: AtomicU64::new(0),
            panic_until: AtomicU64::new(0),
            slow_until: AtomicU64::new(0),
        }
    }

    pub(crate) fn list(&self) -> Arc<List<S>> {
        self.list.load_full()
    }

    /// Looks without taking a reference count.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&List<S>) -> T) -> T {
        look(&self.list.load())
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replace(&self, list: List<S>, _held: &MutexGuard<'_, ()>) {
        self.list.store(Arc::new(list));
    }

    pub(crate) fn now(&self) -> u64 {
        self.epoch.at(Instant::now())
    }

    pub(crate) fn wanted<'a>(&self, request: &'a Req) -> Option<&'a str> {
        self.hooks.wants.as_ref().and_then(|wants| wants(request))
    }

    /// What a failed call counts as at least: the configured penalty, and twice what the slowest takes.
    pub(crate) fn penalty(&self, members: &[Arc<Member>]) -> u64 {
        let slowest = members.iter().filter_map(|member| member.latency()).max().unwrap_or(0);
        nanos(self.rules.penalty).max(slowest.saturating_mul(2).min(nanos(self.rules.penalty) * 16))
    }

    /// The place of the one to ask among those that `skip` does not name. Allocates nothing up to 320 providers.
    pub(crate) fn pick(
        &self,
        members: &[Arc<Member>],
        wanted: Option<&str>,
        now: u64,
        skip: impl Fn(&Member) -> bool,
    ) -> Option<usize> {
        let mut bits = self.available(members, wanted, now);
        for (at, member) in members.iter().enumerate() {
            if skip(member) {
                bits.remove(at);
            }
        }
        if now < self.slow_until.load(Ordering::Relaxed) && !self.strategy.heeds_share() {
            self.thin(&mut bits, members, now);
        }
        let first = bits.iter().next()?;
        let candidates = Candidates {
            members,
            bits: &bits,
            random: &self.random,
            now,
            slow_start: nanos(self.rules.slow_start),
        };
        let chosen = self.strategy.pick(&candidates);
        Some(if bits.contains(chosen) { chosen } else { first })
    }

    /// A provider begins its slow start.
    pub(crate) fn begin_slowly(&self, now: u64) {
        let until = now.saturating_add(nanos(self.rules.slow_start));
        self.slow_until.fetch_max(until, Ordering::Relaxed);
    }

    fn available(&self, members: &[Arc<Member>], wanted: Option<&str>, now: u64) -> Bits {
        let mut bits = Bits::none_of(members.len());
        let mut down = Bits::none_of(members.len());
        let (mut all, mut ejected) = (0_u32, 0_u32);
        for (at, member) in members.iter().enumerate() {
            let out = member.out(wanted);
            if out == Some(Out::DoesNotServe) {
                continue;
            }
            if member.look(out, now) {
                self.begin_slowly(now);
                observe::back(&member.name);
            }
            all += u32::from(counts(out));
            ejected += u32::from(is_ejected(out));
            match out {
                None => bits.insert(at),
                Some(Out::Down) => down.insert(at),
                Some(_) => {}
            }
        }
        let panic = self.too_many(ejected, all);
        self.tell(panic, now, ejected, all);
        if panic {
            bits.join(&down);
        }
        bits
    }

    /// Tells of the beginning and the end, of each once: where one capability is short of providers, picks for others say
    /// that nothing is wrong.
    fn tell(&self, panic: bool, now: u64, ejected: u32, all: u32) {
        let until = self.panic_until.load(Ordering::Relaxed);
        let next = match (panic, until) {
            (false, 0) => return,
            (false, until) if now < until => return,
            (false, _) => 0,
            // Not every pick writes.
            (true, until) if until > now.saturating_add(PANIC_LASTS / 2) => return,
            (true, _) => now.saturating_add(PANIC_LASTS),
        };
        let swapped = self
            .panic_until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        if swapped.is_ok() && (until == 0 || next == 0) {
            observe::panic(panic, ejected, all);
        }
    }

    /// Whether for something that is served so many are out that health does not count.
    pub(crate) fn ignores_any_health(&self, members: &[Arc<Member>]) -> bool {
        if self.hooks.wants.is_none() {
            return self.ignores_health(members, None);
        }
        let mut served: BTreeSet<&str> = members
            .iter()
            .flat_map(|member| &member.serves)
            .map(|served| &**served)
            .collect();
        // What nobody names, by those that serve everything: no capability is called nothing.
        served.insert("");
        served
            .into_iter()
            .any(|served| self.ignores_health(members, Some(served)))
    }

    /// Whether so many of those that serve what is wanted are out that health does not count.
    pub(crate) fn ignores_health(&self, members: &[Arc<Member>], wanted: Option<&str>) -> bool {
        let outs = members.iter().map(|member| member.out(wanted));
        let (mut all, mut ejected) = (0_u32, 0_u32);
        for out in outs.filter(|out| *out != Some(Out::DoesNotServe)) {
            all += u32::from(counts(out));
            ejected += u32::from(is_ejected(out));
        }
        self.too_many(ejected, all)
    }

    fn too_many(&self, ejected: u32, all: u32) -> bool {
        f64::from(ejected) > f64::from(all) * self.rules.max_ejected
    }

    /// Leaves those in their slow start out, as often as it takes. The one that has most of its share stays: so nobody is
    /// left out for all the others being as slow, and there is always one.
    fn thin(&self, bits: &mut Bits, members: &[Arc<Member>], now: u64) {
        let slow_start = nanos(self.rules.slow_start);
        let share = |at: usize| members[at].share(now, slow_start);
        let most = bits.iter().map(share).fold(0.0, f64::max);
        for at in 0..members.len() {
            if bits.contains(at) && share(at) < most && self.random.fraction() >= share(at) / most {
                bits.remove(at);
            }
        }
    }

    /// Why nobody could be asked. `known` says it of those that this call has tried.
    pub(crate) fn nobody(
        members: &[Arc<Member>],
        wanted: Option<&str>,
        known: impl Fn(&Member) -> Option<Out>,
    ) -> NoProvider {
        let excluded = members.iter().map(|member| {
            let out = known(member)
                .or_else(|| member.out(wanted))
                .unwrap_or_else(|| member.out_after_all());
            Excluded {
                name: Arc::clone(&member.name),
                why: out.of(member),
            }
        });
        NoProvider::new(wanted, excluded.collect())
    }
}

/// Whether it is one of those of which not too many may be out: not those that an operator has taken out.
fn counts(out: Option<Out>) -> bool {
    !matches!(out, Some(Out::Draining | Out::ForcedOpen))
}

fn is_ejected(out: Option<Out>) -> bool {
    matches!(out, Some(Out::Open | Out::TrialsBusy | Out::Ramp | Out::Down))
}
