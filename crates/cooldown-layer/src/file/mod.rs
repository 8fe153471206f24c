//! A store in one file of this machine.
//!
//! Everything that is known stands in memory too, in the same [`Engine`](crate::engine) as that of the memory store. An
//! operation is decided there, its changes are written to the file in one transaction, and only when the file system
//! says that they are on the disk is the answer given. A process that is killed between the two has spent a unit and
//! taken no action: the safe way round.
//!
//! Operations that arrive while one transaction is under way share the next one, so that many callers do not wait for
//! as many syncs.

mod desk;
mod open;
mod rows;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use self::desk::Desk;
use crate::store::{Answer, Operation, Store, StoreError, StoreErrorKind, StoreFuture};
use crate::wall::{SystemWall, WallClock};

/// Keeps everything in a file, so that neither a crash nor a restart spends a budget twice.
///
/// | promise | how |
/// |---|---|
/// | a lease that was given is never forgotten | the file is synced before the lease is given |
/// | killed at any instant, it opens again | redb commits by turning one page; the file is made under another name first |
/// | one process at a time | the file is locked; a second process is told [`InUse`](StoreErrorKind::InUse) |
/// | a damaged, foreign or newer file is refused | [`Damaged`](StoreErrorKind::Damaged), [`Foreign`](StoreErrorKind::Foreign); nothing is written to it |
/// | it does not grow without end | what has expired is removed, its pages are used again, and it is compacted when opened |
///
/// Clones share the file, so that several cooldowns and a ledger can use one. When a write fails, the file is opened
/// anew with the next call: what counts is what stands in it.
///
/// ```
/// use cooldown_layer::{Action, Budget, Cooldown, FileStore};
///
/// # tokio_test::block_on(async {
/// # let folder = std::env::temp_dir().join(format!("cooldown-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("repairs.redb");
/// let ask = |store| async move {
///     let repairs = Cooldown::builder("repairs").budget(Budget::of(1)).store(store).build()?;
///     let lease = repairs.request(Action::new("restart", "api")).await?;
///     lease.succeeded().await;
///     Ok::<_, Box<dyn std::error::Error>>(())
/// };
/// assert!(ask(FileStore::open(&path)?).await.is_ok());
/// // after a restart the unit is still spent
/// assert!(ask(FileStore::open(&path)?).await.is_err());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct FileStore(Arc<Shared>);

struct Shared {
    desk: Mutex<Desk>,
    waiting: Mutex<Vec<Job>>,
    clock: Arc<dyn WallClock>,
}

/// An operation, and where its answer goes.
struct Job {
    operation: Arc<Operation>,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl FileStore {
    /// Opens the file, or makes it where there is none.
    ///
    /// # Errors
    /// When it is in use, damaged, foreign, or cannot be read or written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with_clock(path, SystemWall)
    }

    /// Opens the file, with a clock of your own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_clock(path: impl AsRef<Path>, clock: impl WallClock) -> Result<Self, StoreError> {
        let clock: Arc<dyn WallClock> = Arc::new(clock);
        let desk = Mutex::new(Desk::open(path.as_ref(), &*clock)?);
        Ok(Self(Arc::new(Shared {
            desk,
            waiting: Mutex::default(),
            clock,
        })))
    }

    /// Makes the file as small as it can be; says whether there was anything to gain. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn compact(&self) -> Result<bool, StoreError> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner).compact()
    }
}

type Reply = (oneshot::Sender<Result<Answer, StoreError>>, Result<Answer, StoreError>);

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does everything that waits, in one transaction.
    fn work(&self) -> Vec<Reply> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken under the lock of the desk, so that everything that came while the disk was busy goes together.
        let jobs = std::mem::take(&mut *self.waiting());
        let operations: Vec<_> = jobs.iter().map(|job| &*job.operation).collect();
        let answers = desk.run(&operations, &*self.clock);
        jobs.into_iter().map(|job| job.reply).zip(answers).collect()
    }
}

/// Whoever finds nobody waiting sends for a worker; the others rely on it.
struct Worker(Weak<Shared>);

impl Worker {
    fn run(mut self) {
        let Some(shared) = std::mem::take(&mut self.0).upgrade() else {
            return;
        };
        let replies = shared.work();
        // Before anybody hears: who drops the last store after an answer finds the file closed.
        drop(shared);
        for (reply, answer) in replies {
            // Where nobody listens any more, the unit is spent, and the lease ends by its time.
            let _ = reply.send(answer);
        }
    }
}

impl Drop for Worker {
    /// A worker that never ran, because its runtime ended, leaves nobody waiting for it.
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            let left = std::mem::take(&mut *shared.waiting());
            drop(left);
        }
    }
}

/// How many workers may die with their runtimes before an operation gives up.
const TRIES: usize = 3;

impl FileStore {
    /// Puts an operation on the pile that goes to the disk next. An error: nobody is left to do it.
    async fn send(&self, operation: Arc<Operation>) -> Result<Result<Answer, StoreError>, oneshot::error::RecvError> {
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.0.waiting();
            waiting.push(Job { operation, reply });
            waiting.len() == 1
        };
        if is_first {
            let worker = Worker(Arc::downgrade(&self.0));
            // Not awaited: the answer comes through the channel.
            drop(tokio::task::spawn_blocking(move || worker.run()));
        }
        answer.await
    }
}

impl Store for FileStore {
    fn name(&self) -> &'static str {
        "file"
    }

    fn run(&self, operation: Arc<Operation>) -> StoreFuture<'_> {
        Box::pin(async move {
            // A worker may have been sent for on another runtime, and be gone with it: then this one sends for its own. An
            // operation that is sent twice counts once.
            for _ in 0..TRIES {
                if let Ok(answer) = self.send(Arc::clone(&operation)).await {
                    return answer;
                }
            }
            Err(StoreError::new(
                StoreErrorKind::Unreachable,
                "the runtime ended before the file was written",
            ))
        })
    }

    fn clock(&self) -> Arc<dyn WallClock> {
        self.0.clock.clone()
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}
