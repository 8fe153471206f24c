//! Making, opening and refusing a file.

use std::fs;
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, Error, StorageError};

use super::rows;
use crate::id::DecisionId;
use crate::store::{StoreError, StoreErrorKind};

/// Memory for pages; what is in use is in the engine.
const CACHE: usize = 1 << 20;

pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    if !path.try_exists().map_err(|error| said(path, error.into()))? {
        make(path).map_err(|error| said(path, error))?;
    }
    // Every page is checked: a file that was cut short or altered must not be trusted with a budget. A panic of the
    // reader over a file that makes no sense is an error like any other.
    let owned = path.to_owned();
    let opened = catch_unwind(move || builder().set_check_integrity_on_open(true).open(owned));
    let file = match opened {
        Ok(opened) => opened.map_err(|error| said(path, error.into()))?,
        Err(_) => {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!("{} is damaged", path.display()),
            ));
        }
    };
    match rows::format(&file).map_err(|error| said(path, error))? {
        Some(rows::FORMAT) => Ok(file),
        Some(other) => {
            let what = format!(
                "{} has format {other}; this version reads {}",
                path.display(),
                rows::FORMAT
            );
            Err(StoreError::new(StoreErrorKind::Foreign, what))
        }
        None => {
            let what = format!(
                "{} is a database of something else; choose another path",
                path.display()
            );
            Err(StoreError::new(StoreErrorKind::Foreign, what))
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Makes the file under another name and links it when it is whole, so that no instant leaves half a file.
///
/// A link fails where the name is taken. Of two processes that make the file at once, one gets its file, and the other
/// opens that one: a rename would leave each with a file of its own, and with a budget of its own.
fn make(path: &Path) -> Result<(), Error> {
    let draft = draft(path);
    let made = (|| {
        let file = builder().create(&draft)?;
        rows::begin(&file)?;
        file.close()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }?;
        sync_folder(path)?;
        Ok(())
    })();
    let removed = fs::remove_file(&draft);
    made.and(removed.map_err(Error::from))
}

fn draft(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", DecisionId::new()));
    path.with_file_name(name)
}

/// The name has to be on the disk as well as the file.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match fs::File::open(folder) {
        Ok(mut folder) => folder.flush().and_then(|()| folder.sync_all()),
        // Where folders cannot be opened they need no sync either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// An error of the file in the words of a store.
pub(super) fn said(path: &Path, error: Error) -> StoreError {
    let path = path.display();
    let (kind, what) = match &error {
        Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => (
            StoreErrorKind::InUse,
            format!("{path} is in use by another process; a file serves one at a time"),
        ),
        Error::UpgradeRequired(version) => (
            StoreErrorKind::Foreign,
            format!("{path} has the file format {version}, which this version does not read"),
        ),
        Error::Io(io) if io.kind() == io::ErrorKind::InvalidData => (
            StoreErrorKind::Foreign,
            format!("{path} is empty or no file of this store; choose another path, or remove it"),
        ),
        Error::Corrupted(_) | Error::TableTypeMismatch { .. } | Error::TypeDefinitionChanged { .. } => (
            StoreErrorKind::Damaged,
            format!("{path} is damaged; restore it, or remove it once the longest window is over"),
        ),
        Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => (
            StoreErrorKind::Damaged,
            format!("{path} is cut short; restore it, or remove it once the longest window is over"),
        ),
        _ => (StoreErrorKind::Io, format!("{path} cannot be read or written")),
    };
    StoreError::new(kind, what).because(error)
}

// Both are in what `said` takes; named here so that a change of redb's conversions is seen.
const _: fn(DatabaseError) -> Error = Error::from;
const _: fn(StorageError) -> Error = Error::from;
