//! The state word: everything that must change together, in 64 bits.
//!
//! ```text
//! 63..61 state   60..39 generation   38..0 payload
//!
//! Closed, MetricsOnly   38..17 moving failure rate (22 bits of fraction) | 16..2 failures in a row | 1 TIMED | 0 DIRTY
//! Open                  38..0  deadline in ms of the circuit's time, all ones: held
//! HalfOpen, trials      38..37 term | 36 unanswered | 35..27 slow | 26..18 failed | 17..9 succeeded or settled | 8..0 in flight or issued
//! HalfOpen, ramp        35..18 failures | 17..0 calls
//! others                0
//! ```
//!
//! DIRTY says that the window must be told of a success. It is clear when no window is kept, and when a window of calls
//! is known to be full of quick successes, so that one more changes nothing. TIMED stands wherever calls are timed: there
//! nobody knows a quick success before it is over.

use crate::state::State;
use crate::sync::{AtomicU64, Ordering};

pub(crate) const PAYLOAD_BITS: u32 = 39;
pub(crate) const PAYLOAD: u64 = (1 << PAYLOAD_BITS) - 1;
pub(crate) const GENERATION: u64 = (1 << 22) - 1;

pub(crate) const DIRTY: u64 = 1;
pub(crate) const TIMED: u64 = 2;
pub(crate) const HELD: u64 = PAYLOAD;

pub(crate) const MAX_STREAK: u64 = (1 << 15) - 1;
const STREAK_AT: u32 = 2;
const RATE_AT: u32 = 17;

pub(crate) const MAX_TRIALS: u64 = (1 << 9) - 1;
const UNANSWERED: u64 = 1 << 36;
const TRIALS_TERM_AT: u32 = 37;
pub(crate) const MAX_RAMP: u64 = (1 << 18) - 1;

/// One value of the state word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    pub(crate) const fn new(state: State, generation: u64, payload: u64) -> Self {
        Self(((state.number() as u64) << 61) | ((generation & GENERATION) << PAYLOAD_BITS) | (payload & PAYLOAD))
    }

    #[inline]
    pub(crate) const fn state(self) -> State {
        State::from_code(self.0 >> 61)
    }

    #[inline]
    pub(crate) const fn is_closed(self) -> bool {
        self.0 >> 61 == 0
    }

    #[inline]
    pub(crate) const fn is_open(self) -> bool {
        self.0 >> 61 == 1
    }

    /// Closed, and nothing in the payload.
    #[inline]
    pub(crate) const fn is_clean(self) -> bool {
        self.0 & !(GENERATION << PAYLOAD_BITS) == 0
    }

    #[inline]
    pub(crate) const fn generation(self) -> u64 {
        (self.0 >> PAYLOAD_BITS) & GENERATION
    }

    #[inline]
    pub(crate) const fn payload(self) -> u64 {
        self.0 & PAYLOAD
    }

    /// Whether both words belong to the same generation of the same state.
    #[inline]
    pub(crate) const fn same_period(self, other: Self) -> bool {
        self.0 >> PAYLOAD_BITS == other.0 >> PAYLOAD_BITS
    }

    #[inline]
    pub(crate) const fn with_payload(self, payload: u64) -> Self {
        Self((self.0 & !PAYLOAD) | (payload & PAYLOAD))
    }

    /// The word of the next generation.
    pub(crate) const fn next(self, state: State, payload: u64) -> Self {
        Self::new(state, self.generation() + 1, payload)
    }

    pub(crate) const fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    #[inline]
    pub(crate) const fn is_timed(self) -> bool {
        self.0 & TIMED != 0
    }

    pub(crate) const fn streak(self) -> u64 {
        (self.0 >> STREAK_AT) & MAX_STREAK
    }

    pub(crate) const fn rate(self) -> u64 {
        self.payload() >> RATE_AT
    }

    /// `flags` are DIRTY and TIMED.
    pub(crate) const fn closed_payload(flags: u64, streak: u64, rate: u64) -> u64 {
        (rate << RATE_AT) | (streak << STREAK_AT) | flags
    }

    pub(crate) const fn trials(self) -> Trials {
        let p = self.payload();
        Trials {
            issued: p & MAX_TRIALS,
            settled: (p >> 9) & MAX_TRIALS,
            failed: (p >> 18) & MAX_TRIALS,
            slow: (p >> 27) & MAX_TRIALS,
            unanswered: p & UNANSWERED != 0,
            term: p >> TRIALS_TERM_AT,
        }
    }

    pub(crate) const fn ramp(self) -> Ramped {
        let p = self.payload();
        Ramped {
            calls: p & MAX_RAMP,
            failures: (p >> 18) & MAX_RAMP,
        }
    }
}

/// What a permit keeps of the state word: the state and the generation under which it was given.
///
/// Where one more success would change nothing, which is while a circuit is closed and its payload is empty, a token is
/// the word itself, so that the success finds out with one comparison. Any other carries the state in its payload
/// and, as its own state, a number that no state has: it is never equal to a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) u64);

const TOLD: u64 = 7 << 61;

impl Token {
    /// For a word that is [clean](Word::is_clean).
    #[inline]
    pub(crate) const fn clean(word: Word) -> Self {
        Self(word.0)
    }

    /// For any word.
    #[inline]
    pub(crate) const fn told(word: Word) -> Self {
        Self(TOLD | (word.0 & (GENERATION << PAYLOAD_BITS)) | (word.0 >> 61))
    }

    /// The state and generation, without a payload.
    pub(crate) const fn word(self) -> Word {
        if self.0 >> 61 == TOLD >> 61 {
            Word((self.payload() << 61) | (self.0 & (GENERATION << PAYLOAD_BITS)))
        } else {
            Word(self.0 & !PAYLOAD)
        }
    }

    const fn payload(self) -> u64 {
        self.0 & PAYLOAD
    }

    /// Whether `word` is of the closed period under which this token was given, and holds no failures in a row and no
    /// moving rate.
    #[inline]
    pub(crate) const fn is_quiet(self, word: Word) -> bool {
        (word.0 ^ self.0) | DIRTY | TIMED == TOLD | DIRTY | TIMED
    }
}

/// The half-open payload when trials decide. With trials in a row `issued` is what is in flight and `settled` is what
/// succeeded; in a batch `issued` counts all admitted and `settled` all that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trials {
    pub(crate) issued: u64,
    pub(crate) settled: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
    /// Whether no trial has come to anything since the half-open time last began to run.
    pub(crate) unanswered: bool,
    /// The number of the half-open time that runs, modulo 4.
    pub(crate) term: u64,
}

impl Trials {
    pub(crate) const fn pack(self) -> u64 {
        let unanswered = if self.unanswered { UNANSWERED } else { 0 };
        self.issued
            | (self.settled << 9)
            | (self.failed << 18)
            | (self.slow << 27)
            | unanswered
            | (self.term << TRIALS_TERM_AT)
    }
}

/// The half-open payload of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ramped {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
}

impl Ramped {
    pub(crate) const fn pack(self) -> u64 {
        self.calls | (self.failures << 18)
    }
}

/// The atomic that holds a [`Word`].
pub(crate) struct StateWord(AtomicU64);

impl StateWord {
    pub(crate) fn new(word: Word) -> Self {
        Self(AtomicU64::new(word.0))
    }

    /// Acquire: pairs with the release half of [`swap`](Self::swap), so that whoever sees a generation also sees the
    /// record of it, which its maker had prepared before.
    #[inline]
    pub(crate) fn load(&self) -> Word {
        Word(self.0.load(Ordering::Acquire))
    }

    /// Replaces `from` by `to` in one step, or says what stood there. Release: publishes the prepared record and every
    /// window write that led to this decision. Acquire, also on failure: the caller goes on from what it found.
    #[inline]
    pub(crate) fn swap(&self, from: Word, to: Word) -> Result<(), Word> {
        self.0
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Word)
    }
}

/// Whether generation `a` came before generation `b`, on the circle of `bits` bits.
#[inline]
pub(crate) const fn is_before(a: u64, b: u64, bits: u32) -> bool {
    let distance = b.wrapping_sub(a) & ((1 << bits) - 1);
    distance != 0 && distance < 1 << (bits - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_touch_each_other() {
        let word = Word::new(
            State::MetricsOnly,
            GENERATION,
            Word::closed_payload(DIRTY, MAX_STREAK, (1 << 22) - 1),
        );
        assert_eq!(word.state(), State::MetricsOnly);
        assert_eq!(word.generation(), GENERATION);
        assert!(word.is_dirty() && !word.is_timed());
        assert_eq!(word.streak(), MAX_STREAK);
        assert_eq!(word.rate(), (1 << 22) - 1);
        let next = word.next(State::Open, HELD);
        assert_eq!(
            (next.state(), next.generation(), next.payload()),
            (State::Open, 0, HELD)
        );
        let trials = Trials {
            issued: 511,
            settled: 1,
            failed: 510,
            slow: 2,
            unanswered: true,
            term: 3,
        };
        assert_eq!(Word::new(State::HalfOpen, 7, trials.pack()).trials(), trials);
        let ramped = Ramped {
            calls: MAX_RAMP,
            failures: 5,
        };
        assert_eq!(Word::new(State::HalfOpen, 7, ramped.pack()).ramp(), ramped);
    }

    #[test]
    fn a_token_is_equal_to_a_word_only_where_a_success_changes_nothing() {
        for state in State::ALL {
            for (generation, payload) in [(0, 0), (GENERATION, DIRTY), (7, PAYLOAD), (1 << 21, TIMED), (5, 4)] {
                let word = Word::new(state, generation, payload);
                let token = Token::told(word);
                assert_eq!(token.word(), Word::new(state, generation, 0));
                assert_eq!(State::ALL.len(), 7, "or a token's own state is a state's");
                assert_eq!(token.0 >> 61, 7);
                assert_eq!(
                    token.is_quiet(word),
                    state == State::Closed && payload <= (DIRTY | TIMED)
                );
                assert!(!token.is_quiet(word.next(state, payload)));
            }
        }
        let clean = Word::new(State::Closed, 9, 0);
        assert!(clean.is_clean() && !clean.with_payload(DIRTY).is_clean());
        assert!(!Word::new(State::Open, 9, 0).is_clean());
        assert_eq!(Token::clean(clean).word(), clean);
        assert!(!Token::clean(clean).is_quiet(clean));
    }

    #[test]
    fn before_is_a_half_circle() {
        assert!(is_before(GENERATION, 0, 22));
        assert!(!is_before(0, GENERATION, 22));
        assert!(!is_before(5, 5, 22));
    }
}
