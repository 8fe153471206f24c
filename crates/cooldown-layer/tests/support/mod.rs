//! What the tests of all stores share.
#![allow(dead_code, unreachable_pub)] // each test file uses a part
#![allow(clippy::cast_possible_truncation, clippy::too_many_lines)] // small figures, long walks

pub mod model;
pub mod suite;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use cooldown_layer::store::{Operation, Store, StoreError, StoreErrorKind, StoreFuture};
use cooldown_layer::{DecisionId, Reason, Refused, WallClock};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

/// A folder that is gone after the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("cooldown-{}", DecisionId::new()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("repairs.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Random numbers that come again with the same seed (`SplitMix64`).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A store that can be made to fail.
#[derive(Clone)]
pub struct Flaky {
    inner: Arc<dyn Store>,
    mode: Arc<AtomicU8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Up = 0,
    /// Fails before anything is done.
    Away = 1,
    /// Does it, and loses the answer.
    Mute = 2,
    /// Never answers, and does nothing.
    Hangs = 3,
}

impl Flaky {
    pub fn new(inner: impl Store) -> Self {
        Self {
            inner: Arc::new(inner),
            mode: Arc::default(),
        }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }
}

impl Store for Flaky {
    fn name(&self) -> &'static str {
        "flaky"
    }

    fn run(&self, operation: Arc<Operation>) -> StoreFuture<'_> {
        let mode = self.mode.load(Ordering::SeqCst);
        Box::pin(async move {
            let lost = || Err(StoreError::new(StoreErrorKind::Unreachable, "away for the test"));
            match mode {
                0 => self.inner.run(operation).await,
                1 => lost(),
                2 => {
                    let _ = self.inner.run(operation).await;
                    lost()
                }
                _ => std::future::pending().await,
            }
        })
    }

    fn clock(&self) -> Arc<dyn WallClock> {
        self.inner.clock()
    }
}

/// The word of a refusal.
pub fn word<T>(result: &Result<T, Refused>) -> &'static str {
    result
        .as_ref()
        .map_or_else(|refused| refused.reason().as_str(), |_| "granted")
}

/// The figures of a refusal over budget: units used, units of the budget, milliseconds to wait.
pub fn over(refused: &Refused) -> (u64, u32, Option<u128>) {
    match refused.reason() {
        Reason::OverBudget {
            used, of, retry_after, ..
        } => (*used, *of, retry_after.map(|wait| wait.as_millis())),
        other => panic!("not over budget but {other:?}"),
    }
}
