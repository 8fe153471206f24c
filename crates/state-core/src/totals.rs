//! Totals since the start, counted where no other thread reads.

use alloc::boxed::Box;

use crate::owned::Owned;

/// How many calls came to what since the circuit was built.
///
/// Outcomes of an earlier generation are counted as [`late`](Self::late) and nowhere else; while a circuit is disabled or
/// retired nothing is counted.
///
/// ```
/// use state_core::Circuit;
///
/// let circuit = Circuit::builder("doc").build()?;
/// circuit.acquire()?.success();
/// let totals = circuit.snapshot().totals.expect("on by default");
/// assert_eq!((totals.successes, totals.failures), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Totals {
    /// Calls that succeeded, slow ones included.
    pub successes: u64,
    /// Calls that failed, slow ones and cancelled ones that count as failures included.
    pub failures: u64,
    /// Calls that were slow, whether they succeeded or failed.
    pub slow: u64,
    /// Calls that said nothing about the dependency.
    pub neutral: u64,
    /// Permits dropped unsettled, whatever they counted as.
    pub cancelled: u64,
    /// Calls refused.
    pub refused: u64,
    /// Outcomes that came after their generation had ended: they changed nothing.
    pub late: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Count {
    Success,
    Failure,
    Slow,
    Neutral,
    Cancelled,
    Refused,
    Late,
}

#[repr(align(128))]
struct Shard([Owned; 7]);

pub(crate) struct Counters(Box<[Shard]>);

impl Counters {
    pub(crate) fn new(shards: usize) -> Self {
        Self(
            (0..shards)
                .map(|_| Shard(core::array::from_fn(|_| Owned::new())))
                .collect(),
        )
    }

    /// Whether there are any.
    #[inline]
    pub(crate) fn is_kept(&self) -> bool {
        !self.0.is_empty()
    }

    /// Each count stands alone, and nothing is decided by it.
    #[inline]
    pub(crate) fn add(&self, incarnation: u32, count: Count) {
        if !self.0.is_empty() {
            let shard = &self.0[crate::shard::mine() & (self.0.len() - 1)];
            shard.0[count as usize].add(incarnation);
        }
    }

    pub(crate) fn sum(&self, incarnation: u32) -> Option<Totals> {
        let of = |count: Count| {
            self.0
                .iter()
                .map(|shard| shard.0[count as usize].get(incarnation))
                .sum()
        };
        (!self.0.is_empty()).then(|| Totals {
            successes: of(Count::Success),
            failures: of(Count::Failure),
            slow: of(Count::Slow),
            neutral: of(Count::Neutral),
            cancelled: of(Count::Cancelled),
            refused: of(Count::Refused),
            late: of(Count::Late),
        })
    }

    pub(crate) fn hand_over(&self, incarnation: u32) {
        for count in self.0.iter().flat_map(|shard| &shard.0) {
            count.hand_over(incarnation);
        }
    }
}
