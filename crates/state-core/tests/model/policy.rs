//! A random policy, in plain values that both sides read.

use std::time::Duration;

use state_core::{Circuit, EwmaWeights, ManualClock, OnCancel, Policy, Window};

use crate::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    Above(f64),
    AtLeast(f64),
}

impl Limit {
    pub(crate) fn trips(self, part: u64, of: u64) -> bool {
        let rate = part as f64 / of as f64;
        match self {
            Self::Above(limit) => rate > limit,
            Self::AtLeast(limit) => rate >= limit,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    Nothing,
    Lifetime,
    Calls(u64),
    /// Span in ms, slices.
    Time(u64, u64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Back {
    Trials(u64),
    Batch(u64),
    Ramp { over: u64, limit: f64, min_calls: u64 },
}

/// Times are in ms.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Plan {
    pub(crate) consecutive: Option<u64>,
    pub(crate) failure_rate: Option<Limit>,
    pub(crate) slow_rate: Option<Limit>,
    pub(crate) slow_after: u64,
    pub(crate) ewma: Option<(f64, f64, f64, f64)>,
    pub(crate) kept: Kept,
    pub(crate) min_calls: u64,
    pub(crate) every_outcome: bool,
    pub(crate) grace: Option<u64>,
    pub(crate) open_for: u64,
    pub(crate) until_probe: bool,
    pub(crate) backoff: Option<(f64, u64)>,
    pub(crate) max_retry_after: u64,
    pub(crate) back: Back,
    pub(crate) concurrent: u64,
    pub(crate) half_open: u64,
    pub(crate) on_cancel: OnCancel,
    pub(crate) totals: bool,
    pub(crate) stamps: bool,
    seed: u64,
}

impl Plan {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let limit = |dice: &mut Dice| {
            if dice.once_in(2) {
                Limit::Above(dice.one_of(&[0.0, 0.1, 0.25, 0.5, 0.75, 0.9]))
            } else {
                Limit::AtLeast(dice.one_of(&[0.1, 0.25, 0.5, 0.8, 1.0]))
            }
        };
        let rules = dice.between(1, 15);
        let failure_rate = (rules & 1 != 0).then(|| limit(dice));
        let slow_rate = (rules & 2 != 0).then(|| limit(dice));
        let rates = failure_rate.is_some() || slow_rate.is_some();
        let kept = match dice.below(6) {
            _ if !rates && dice.once_in(2) => Kept::Nothing,
            0 => Kept::Lifetime,
            1 | 2 => Kept::Calls(dice.one_of(&[1, 2, 5, 10, 20, 40, 41, 100])),
            3 => Kept::Calls(dice.between(1, 50)),
            _ => {
                let buckets = dice.one_of(&[1, 2, 3, 7, 10, 16]);
                Kept::Time(dice.one_of(&[10, 100, 777, 2_000]) * buckets, buckets)
            }
        };
        let min_calls = match kept {
            Kept::Calls(n) => dice.between(1, n),
            _ => dice.between(1, 12),
        };
        let open_for = dice.one_of(&[1, 10, 100, 500, 3_000]);
        let back = match dice.below(5) {
            0 if rates => Back::Batch(dice.between(1, 6)),
            1 => Back::Ramp {
                over: dice.one_of(&[10, 100, 1_000, 5_000]),
                limit: dice.one_of(&[0.0, 0.2, 0.5, 0.9]),
                min_calls: dice.between(1, 6),
            },
            _ => Back::Trials(dice.between(1, 4)),
        };
        Self {
            consecutive: (rules & 4 != 0).then(|| dice.between(1, 8)),
            failure_rate,
            slow_rate,
            slow_after: dice.one_of(&[1, 20, 100]),
            ewma: (rules & 8 != 0).then(|| {
                let above = dice.one_of(&[0.2, 0.45, 0.7]);
                if dice.once_in(2) {
                    (above, 0.9, 0.5, 0.01)
                } else {
                    (above, 0.8, 0.7, 0.05)
                }
            }),
            kept,
            min_calls,
            every_outcome: dice.once_in(3),
            grace: dice.once_in(4).then(|| dice.one_of(&[1, 50, 500])),
            open_for,
            until_probe: dice.once_in(10),
            backoff: dice
                .once_in(3)
                .then(|| (dice.one_of(&[1.0, 1.5, 2.0, 3.0]), open_for * dice.one_of(&[1, 3, 20]))),
            max_retry_after: dice.one_of(&[50, 1_000, 300_000]),
            back,
            concurrent: if matches!(back, Back::Trials(_)) {
                dice.between(1, 3)
            } else {
                1
            },
            half_open: if dice.once_in(2) {
                open_for
            } else {
                dice.one_of(&[5, 80, 1_000])
            },
            on_cancel: match dice.below(4) {
                0 => OnCancel::Neutral,
                1 => OnCancel::Failure,
                // What is the default.
                _ if slow_rate.is_some() => OnCancel::SlowFailure,
                _ => OnCancel::Neutral,
            },
            totals: !dice.once_in(4),
            stamps: dice.once_in(2),
            seed: dice.roll(),
        }
    }

    /// Whether recording needs the time.
    pub(crate) fn timed(&self) -> bool {
        self.slow_rate.is_some() || matches!(self.kept, Kept::Time(..))
    }

    pub(crate) fn build(&self, name: &str, clock: &ManualClock) -> Circuit {
        let ms = Duration::from_millis;
        let small = |n: u64| u32::try_from(n).expect("counts are small here");
        let mut policy = Policy::new()
            .open_for(ms(self.open_for))
            .max_half_open(ms(self.half_open))
            .max_retry_after(ms(self.max_retry_after))
            .on_cancel(self.on_cancel)
            .min_calls(small(self.min_calls))
            .totals(self.totals)
            .stamp_failures(self.stamps)
            .seed(self.seed);
        if let Some(n) = self.consecutive {
            policy = policy.consecutive_failures(small(n));
        }
        policy = match self.failure_rate {
            Some(Limit::Above(r)) => policy.failure_rate_above(r),
            Some(Limit::AtLeast(r)) => policy.failure_rate_at_least(r),
            None => policy,
        };
        policy = match self.slow_rate {
            Some(Limit::Above(r)) => policy.slow_call_rate_above(r, ms(self.slow_after)),
            Some(Limit::AtLeast(r)) => policy.slow_call_rate_at_least(r, ms(self.slow_after)),
            None => policy,
        };
        if let Some((above, failure_keep, success_keep, floor)) = self.ewma {
            let weights = EwmaWeights {
                failure_keep,
                success_keep,
                floor,
            };
            policy = policy.ewma(above, weights);
        }
        policy = match self.kept {
            Kept::Nothing => policy,
            Kept::Lifetime => policy.window(Window::lifetime()),
            Kept::Calls(n) => policy.window(Window::calls(small(n))),
            Kept::Time(span, buckets) => policy.window(Window::time(ms(span)).buckets(small(buckets))),
        };
        if self.every_outcome {
            policy = policy.evaluate_on_every_outcome();
        }
        if let Some(grace) = self.grace {
            policy = policy.grace(ms(grace));
        }
        if self.until_probe {
            policy = policy.open_until_probe();
        }
        if let Some((factor, max)) = self.backoff {
            policy = policy.backoff(factor, ms(max));
        }
        policy = match self.back {
            Back::Trials(n) => policy.trials(small(n)).concurrent_trials(small(self.concurrent)),
            Back::Batch(n) => policy.trial_batch(small(n)),
            Back::Ramp { over, limit, min_calls } => policy.ramp(ms(over), limit, small(min_calls)),
        };
        Circuit::builder(name)
            .policy(policy)
            .clock(clock.clone())
            .build()
            .expect("random policies are valid")
    }
}
