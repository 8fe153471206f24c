//! Every interleaving of those who take turns, in small models.
//!
//! Run with:
//!
//! ```text
//! RUSTFLAGS="--cfg fusebox_loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=target/loom \
//!     cargo test -p provider-pool --release --test loom
//! ```
//!
//! Do they bite? Each of these mutations was made and run at that bound, and each was caught:
//!
//! | mutation | caught by |
//! |---|---|
//! | a pass is stored, not swapped | `two_who_pick_at_once_..`: a turn is given twice |
//! | those who were away are not drawn up to the others | `one_who_comes_back_..`: it is owed what it was away for |
//! | they are drawn up to the furthest, not to a stride behind it | `two_who_pick_at_once_..`: a pass is too far |
#![cfg(fusebox_loom)]
#![allow(dead_code, unreachable_pub)] // the models use a part of what the modules offer

#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/turns.rs"]
mod turns;

use loom::sync::Arc;
use loom::thread;
use sync::{AtomicU64, Ordering};
use turns::{ONE, Turns};

#[derive(Default)]
struct Pool {
    turns: Turns,
    passes: [AtomicU64; 2],
}

impl Pool {
    fn pick(&self, weights: [f64; 2]) -> usize {
        let each = || {
            let passes = self.passes.iter().zip(weights).enumerate();
            passes.map(|(place, (pass, weight))| (place, pass, weight))
        };
        self.turns.next(each).expect("there are two")
    }

    /// So many picks; how many each got.
    fn picks(&self, number: usize, weights: [f64; 2]) -> [u64; 2] {
        let mut counts = [0; 2];
        for _ in 0..number {
            counts[self.pick(weights)] += 1;
        }
        counts
    }

    fn pass(&self, of: usize) -> u64 {
        self.passes[of].load(Ordering::Relaxed)
    }
}

fn sum(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

#[test]
fn two_who_pick_at_once_keep_the_exact_proportion() {
    loom::model(|| {
        let pool = Arc::new(Pool::default());
        let other = Arc::clone(&pool);
        let thread = thread::spawn(move || other.picks(2, [2.0, 1.0]));
        let mine = pool.picks(1, [2.0, 1.0]);
        let both = sum(mine, thread.join().unwrap());
        assert_eq!(both, [2, 1]);
        assert_eq!(
            [pool.pass(0), pool.pass(1)],
            [ONE, ONE],
            "each pick is in the passes, once"
        );
    });
}

#[test]
fn one_who_was_held_up_sets_nobody_back() {
    loom::model(|| {
        let pool = Arc::new(Pool::default());
        let other = Arc::clone(&pool);
        let thread = thread::spawn(move || other.picks(7, [1.0, 1.0]));
        let mine = pool.picks(1, [1.0, 1.0]);
        let both = sum(mine, thread.join().unwrap());
        assert_eq!(both, [4, 4]);
        assert_eq!([pool.pass(0), pool.pass(1)], [4 * ONE, 4 * ONE]);
    });
}

#[test]
fn one_who_comes_back_takes_up_where_the_others_are() {
    loom::model(|| {
        let pool = Arc::new(Pool::default());
        // The second one is away for ten picks.
        for _ in 0..10 {
            pool.turns.next(|| std::iter::once((0, &pool.passes[0], 1.0)));
        }
        let other = Arc::clone(&pool);
        let thread = thread::spawn(move || other.picks(3, [1.0, 1.0]));
        let mine = pool.picks(1, [1.0, 1.0]);
        let [first, second] = sum(mine, thread.join().unwrap());
        assert!(matches!((first, second), (2, 2) | (1, 3)), "{first} {second}");
        assert!(pool.pass(1) >= 9 * ONE, "it is not owed what it was away for");
    });
}
