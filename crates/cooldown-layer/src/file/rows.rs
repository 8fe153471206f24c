//! The tables of the file, and how a change is written to them and read back.

use redb::{Database, Error, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use crate::engine::Change;
use crate::id::DecisionId;
use crate::signature::AnomalyKey;
use crate::store::{Frost, Track};

/// Raised when the tables change their meaning.
pub(super) const FORMAT: u64 = 1;

/// `format`, and `newest`: the newest stamp.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("cooldown-layer");
/// Log, stamp, decision: units, and for how long they are of use.
const SPENT: TableDefinition<'_, (&str, u64, u128), (u32, u64)> = TableDefinition::new("spent");
/// Cooldown or budget: since, until, why.
const FREEZES: TableDefinition<'_, &str, (u64, Option<u64>, &str)> = TableDefinition::new("freezes");
/// Decision: cooldown, end, and the record: space (empty where there is none), anomaly, kind.
const LEASES: TableDefinition<'_, u128, (&str, u64, &str, &str, &str)> = TableDefinition::new("leases");
/// Record, kind, stamp, decision: whether it helped.
const OUTCOMES: TableDefinition<'_, (&str, &str, u64, u128), bool> = TableDefinition::new("outcomes");
/// Anomaly, stamp, record.
const SEEN: TableDefinition<'_, (&str, u64, u128), ()> = TableDefinition::new("seen");
/// Anomaly: when it came first.
const FIRST: TableDefinition<'_, &str, u64> = TableDefinition::new("first");
/// Anomaly: when it was fixed, and how.
const FIXES: TableDefinition<'_, &str, (u64, &str)> = TableDefinition::new("fixes");

/// The format of the file; `None` where it is a database of something else.
pub(super) fn format(file: &Database) -> Result<Option<u64>, Error> {
    let read = file.begin_read()?;
    match read.open_table(META) {
        Ok(meta) => Ok(meta.get("format")?.map(|format| format.value())),
        Err(
            TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. } | TableError::TableIsMultimap(_),
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes all tables into a new file.
pub(super) fn begin(file: &Database) -> Result<(), Error> {
    let transaction = file.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    drop(Writer::new(&transaction)?);
    Ok(transaction.commit()?)
}

/// The open tables of one transaction.
pub(super) struct Writer<'a> {
    meta: Table<'a, &'static str, u64>,
    spent: Table<'a, (&'static str, u64, u128), (u32, u64)>,
    freezes: Table<'a, &'static str, (u64, Option<u64>, &'static str)>,
    leases: Table<'a, u128, (&'static str, u64, &'static str, &'static str, &'static str)>,
    outcomes: Table<'a, (&'static str, &'static str, u64, u128), bool>,
    seen: Table<'a, (&'static str, u64, u128), ()>,
    first: Table<'a, &'static str, u64>,
    fixes: Table<'a, &'static str, (u64, &'static str)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(transaction: &'a WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            spent: transaction.open_table(SPENT)?,
            freezes: transaction.open_table(FREEZES)?,
            leases: transaction.open_table(LEASES)?,
            outcomes: transaction.open_table(OUTCOMES)?,
            seen: transaction.open_table(SEEN)?,
            first: transaction.open_table(FIRST)?,
            fixes: transaction.open_table(FIXES)?,
        })
    }

    pub(super) fn newest(&mut self, stamp: u64) -> Result<(), Error> {
        self.meta.insert("newest", stamp)?;
        Ok(())
    }

    pub(super) fn write(&mut self, change: &Change) -> Result<(), Error> {
        match change {
            Change::Spend {
                log,
                stamp,
                id,
                cost,
                keep_ms,
            } => {
                self.spent.insert((&**log, *stamp, id.as_u128()), (*cost, *keep_ms))?;
            }
            Change::Forget { log, upto } => {
                self.spent
                    .retain_in((&**log, 0, 0)..=(&**log, *upto, u128::MAX), |_, _| false)?;
            }
            Change::Freeze { key, frost } => {
                self.freezes
                    .insert(&**key, (frost.since_ms, frost.until_ms, &*frost.reason))?;
            }
            Change::Melt { key } => drop(self.freezes.remove(&**key)?),
            Change::Open {
                id,
                cooldown,
                expires,
                track,
            } => {
                let key = track.as_ref().map(|track| track.key.to_string()).unwrap_or_default();
                let (space, kind) = track.as_ref().map_or(("", ""), |track| (&*track.space, &*track.kind));
                self.leases
                    .insert(id.as_u128(), (&**cooldown, *expires, space, &*key, kind))?;
            }
            Change::Close { id } => drop(self.leases.remove(id.as_u128())?),
            Change::Outcome {
                track,
                stamp,
                id,
                succeeded,
            } => {
                let record = format!("{}:{}", track.space, track.key);
                self.outcomes
                    .insert((&*record, &*track.kind, *stamp, id.as_u128()), *succeeded)?;
            }
            Change::DropOutcome { track, kind, stamp, id } => {
                drop(self.outcomes.remove((&**track, &**kind, *stamp, id.as_u128()))?);
            }
            Change::See { key, stamp, id } => drop(self.seen.insert((&**key, *stamp, id.as_u128()), ())?),
            Change::Unsee { key, stamp, id } => drop(self.seen.remove((&**key, *stamp, id.as_u128()))?),
            Change::FirstSeen { key, stamp } => drop(self.first.insert(&**key, *stamp)?),
            Change::Fix {
                key,
                stamp,
                description,
            } => drop(self.fixes.insert(&**key, (*stamp, &**description))?),
            Change::Unfix { key } => drop(self.fixes.remove(&**key)?),
            Change::Newest { stamp } => drop(self.meta.insert("newest", *stamp)?),
        }
        Ok(())
    }
}

/// Reads the whole file as the changes that lead to it.
pub(super) fn read(file: &Database, apply: &mut dyn FnMut(Change)) -> Result<(), Error> {
    let read = file.begin_read()?;
    if let Some(newest) = read.open_table(META)?.get("newest")? {
        apply(Change::Newest { stamp: newest.value() });
    }
    for row in read.open_table(SPENT)?.iter()? {
        let (key, value) = row?;
        let ((log, stamp, id), (cost, keep_ms)) = (key.value(), value.value());
        apply(Change::Spend {
            log: log.to_owned(),
            stamp,
            id: DecisionId::from_u128(id),
            cost,
            keep_ms,
        });
    }
    for row in read.open_table(FREEZES)?.iter()? {
        let (key, value) = row?;
        let (since, until, reason) = value.value();
        apply(Change::Freeze {
            key: key.value().to_owned(),
            frost: Frost::new(since, until, reason),
        });
    }
    for row in read.open_table(LEASES)?.iter()? {
        let (id, value) = row?;
        let (cooldown, expires, space, key, kind) = value.value();
        let track = (!space.is_empty())
            .then(|| Ok::<_, Error>(Track::new(space, anomaly(key)?, kind)))
            .transpose()?;
        apply(Change::Open {
            id: DecisionId::from_u128(id.value()),
            cooldown: cooldown.into(),
            expires,
            track,
        });
    }
    for row in read.open_table(OUTCOMES)?.iter()? {
        let (key, value) = row?;
        let (record, kind, stamp, id) = key.value();
        let (space, key) = record
            .split_once(':')
            .ok_or_else(|| nonsense("a record without an anomaly"))?;
        let (track, id) = (Track::new(space, anomaly(key)?, kind), DecisionId::from_u128(id));
        apply(Change::Outcome {
            track,
            stamp,
            id,
            succeeded: value.value(),
        });
    }
    let first = read.open_table(FIRST)?;
    let mut last: Option<String> = None;
    for row in read.open_table(SEEN)?.iter()? {
        let (key, _) = row?;
        let (key, stamp, id) = key.value();
        apply(Change::See {
            key: key.to_owned(),
            stamp,
            id: DecisionId::from_u128(id),
        });
        // The rows of one anomaly stand together, the oldest first.
        if last.as_deref() != Some(key) {
            let stamp = first.get(key)?.map_or(stamp, |first| first.value());
            apply(Change::FirstSeen {
                key: key.to_owned(),
                stamp,
            });
            last = Some(key.to_owned());
        }
    }
    for row in read.open_table(FIXES)?.iter()? {
        let (key, value) = row?;
        let (stamp, description) = value.value();
        apply(Change::Fix {
            key: key.value().to_owned(),
            stamp,
            description: description.to_owned(),
        });
    }
    Ok(())
}

fn anomaly(key: &str) -> Result<AnomalyKey, Error> {
    key.parse().map_err(|_| nonsense("an anomaly that is none"))
}

fn nonsense(what: &str) -> Error {
    Error::Corrupted(what.to_owned())
}
