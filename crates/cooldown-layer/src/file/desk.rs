//! The file and what is known of it, behind one lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::Database;

use super::open::{open, said};
use super::rows::{self, Writer};
use crate::engine::{Bounds, Change, Engine};
use crate::store::{Answer, Operation, StoreError, StoreErrorKind};
use crate::wall::WallClock;

/// A file that is larger than this is compacted when it is opened.
const WORTH_COMPACTING: u64 = 4 << 20;

pub(super) struct Desk {
    path: PathBuf,
    /// None after a write has failed: what is in memory may then differ from what is on the disk.
    open: Option<Open>,
}

struct Open {
    file: Database,
    engine: Engine,
}

impl Desk {
    pub(super) fn open(path: &Path, clock: &dyn WallClock) -> Result<Self, StoreError> {
        let mut open = Open::read(path)?;
        open.tidy(clock).map_err(|error| said(path, error))?;
        let mut desk = Self {
            path: path.to_owned(),
            open: Some(open),
        };
        if std::fs::metadata(path).is_ok_and(|file| file.len() > WORTH_COMPACTING) {
            desk.compact()?;
        }
        Ok(desk)
    }

    pub(super) fn compact(&mut self) -> Result<bool, StoreError> {
        let path = self.path.clone();
        let done = self.opened()?.file.compact();
        done.map_err(|error| {
            self.open = None;
            said(&path, error.into())
        })
    }

    fn opened(&mut self) -> Result<&mut Open, StoreError> {
        match &mut self.open {
            Some(open) => Ok(open),
            empty => Ok(empty.insert(Open::read(&self.path)?)),
        }
    }

    /// Answers all, or, when the file fails, none.
    pub(super) fn run(&mut self, operations: &[&Operation], clock: &dyn WallClock) -> Vec<Result<Answer, StoreError>> {
        let path = self.path.clone();
        let done = self.opened().and_then(|open| {
            // The file was whole when it was opened. One that is changed from outside while it is open may make redb
            // panic: no unit is given then either.
            catch_unwind(AssertUnwindSafe(|| open.run(operations, clock)))
                .unwrap_or_else(|_| Err(redb::Error::Corrupted("the file changed while it was open".into())))
                .map_err(|error| said(&path, error))
        });
        done.unwrap_or_else(|error| {
            // Whether the last transaction is on the disk is not known. Reading the file again tells.
            self.open = None;
            operations.iter().map(|_| Err(error.clone())).collect()
        })
    }
}

impl Open {
    fn read(path: &Path) -> Result<Self, StoreError> {
        let file = open(path)?;
        let mut engine = Engine::new(Bounds::default());
        let read = catch_unwind(AssertUnwindSafe(|| {
            rows::read(&file, &mut |change| engine.apply(change))
        }));
        match read {
            Ok(read) => read.map_err(|error| said(path, error))?,
            Err(_) => {
                return Err(StoreError::new(
                    StoreErrorKind::Damaged,
                    format!("{} is damaged", path.display()),
                ));
            }
        }
        Ok(Self { file, engine })
    }

    fn run(
        &mut self,
        operations: &[&Operation],
        clock: &dyn WallClock,
    ) -> Result<Vec<Result<Answer, StoreError>>, redb::Error> {
        let mut answers = Vec::with_capacity(operations.len());
        // Begun with the first change: a refusal writes nothing and waits for no disk.
        let mut transaction = None;
        let mut changes = Vec::new();
        for operation in operations {
            let now = clock.now_ms();
            self.engine.tidy(now, &mut changes);
            self.write(&mut transaction, &mut changes)?;
            answers.push(self.engine.run(operation, now, &mut changes));
            self.write(&mut transaction, &mut changes)?;
        }
        if let Some(transaction) = transaction {
            transaction.commit()?;
        }
        Ok(answers)
    }

    fn write(
        &mut self,
        transaction: &mut Option<redb::WriteTransaction>,
        changes: &mut Vec<Change>,
    ) -> Result<(), redb::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = match transaction {
            Some(transaction) => transaction,
            none => none.insert(self.file.begin_write()?),
        };
        let mut writer = Writer::new(transaction)?;
        for change in changes.drain(..) {
            writer.write(&change)?;
            self.engine.apply(change);
        }
        writer.newest(self.engine.newest())
    }

    /// Removes what has expired.
    fn tidy(&mut self, clock: &dyn WallClock) -> Result<(), redb::Error> {
        let mut changes = Vec::new();
        self.engine.tidy_now(clock.now_ms(), &mut changes);
        let mut transaction = None;
        self.write(&mut transaction, &mut changes)?;
        transaction.map_or(Ok(()), |transaction| Ok(transaction.commit()?))
    }
}
