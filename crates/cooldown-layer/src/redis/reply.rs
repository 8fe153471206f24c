//! What the server says, in the words of a store.

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use crate::store::{Answer, Because, Counts, Frost, StoreError, StoreErrorKind, View};

/// The array that a script returns: a word, then figures and texts.
pub(super) struct Reply(pub(super) Value);

impl Reply {
    fn items(&self) -> &[Value] {
        match &self.0 {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    fn text(&self, index: usize) -> Option<String> {
        match self.items().get(index)? {
            Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Value::SimpleString(text) => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn number(&self, index: usize) -> Option<u64> {
        match self.items().get(index)? {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => self.text(index)?.parse().ok(),
        }
    }

    fn small(&self, index: usize) -> Option<u32> {
        u32::try_from(self.number(index)?).ok()
    }

    fn index(&self, index: usize) -> Option<usize> {
        usize::try_from(self.number(index)?).ok()
    }
}

pub(super) fn answer(reply: &Reply) -> Result<Answer, StoreError> {
    read(reply).ok_or_else(|| StoreError::new(StoreErrorKind::Other, "the server answered something else"))
}

fn read(reply: &Reply) -> Option<Answer> {
    let refused = |because| {
        Some(Answer::Refused {
            at_ms: reply.number(1)?,
            because,
        })
    };
    match reply.text(0)?.as_str() {
        "done" => Some(Answer::Done),
        "granted" => {
            let used = (2..reply.items().len())
                .map(|index| reply.number(index))
                .collect::<Option<_>>()?;
            Some(Answer::Granted {
                at_ms: reply.number(1)?,
                used,
            })
        }
        "frozen" => refused(Because::Frozen(Frost::new(reply.number(2)?, None, reply.text(3)?))),
        "person" => refused(Because::Person {
            last_24h: reply.number(2)?,
        }),
        "futile" => refused(Because::Futile {
            succeeded: reply.small(2)?,
            tried: reply.small(3)?,
        }),
        "over" => refused(Because::OverBudget {
            budget: reply.index(2)?,
            used: reply.number(3)?,
            wait_ms: reply.number(4),
        }),
        "cold" => {
            let frost = Frost::new(reply.number(3)?, reply.number(4), "");
            refused(Because::BudgetFrozen {
                budget: reply.index(2)?,
                frost,
            })
        }
        "seen" => {
            let budget = |at: usize| {
                let frost = reply
                    .number(at + 2)
                    .map(|since| Frost::new(since, reply.number(at + 3), ""));
                Some((reply.number(at)?, reply.number(at + 1)?, frost))
            };
            Some(Answer::Seen(View {
                at_ms: reply.number(1)?,
                frozen: reply
                    .number(2)
                    .map(|since| Frost::new(since, None, reply.text(3).unwrap_or_default())),
                open_leases: reply.number(4)?,
                budgets: (5..reply.items().len()).step_by(4).map(budget).collect::<Option<_>>()?,
            }))
        }
        "counts" => Some(Answer::Frequency(Counts {
            windows: [reply.number(1)?, reply.number(2)?, reply.number(3)?, reply.number(4)?],
            seen: reply.number(5).zip(reply.number(6)),
            fixed: reply.number(7).zip(reply.text(8)),
            at_least: reply.number(9)? == 1,
        })),
        "repairs" => {
            let kind = |at: usize| Some((reply.text(at)?, reply.small(at + 1)?, reply.small(at + 2)?));
            Some(Answer::Repairs(
                (1..reply.items().len()).step_by(3).map(kind).collect::<Option<_>>()?,
            ))
        }
        _ => None,
    }
}

/// What the server or the way to it says went wrong.
pub(super) fn said(error: &RedisError) -> StoreError {
    let kind = kind(error);
    let what = match kind {
        StoreErrorKind::Unreachable => "the server cannot be reached",
        StoreErrorKind::TimedOut => "no answer from the server; the operation may have been done",
        StoreErrorKind::Denied => "the server does not let us in: check password, user and permissions",
        StoreErrorKind::OutOfMemory => "the server has no memory left (OOM): raise maxmemory",
        StoreErrorKind::ReadOnly => "the server does not write (READONLY or MISCONF): connect to the primary",
        StoreErrorKind::Loading => "the server is still reading its data (LOADING)",
        StoreErrorKind::WrongType => "a key holds another type (WRONGTYPE): choose another prefix",
        _ => "the server failed",
    };
    StoreError::new(kind, what).because(error.clone())
}

fn kind(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => return StoreErrorKind::TimedOut,
        ErrorKind::Io => return StoreErrorKind::Unreachable,
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => return StoreErrorKind::Denied,
        ErrorKind::Server(ServerErrorKind::BusyLoading) => return StoreErrorKind::Loading,
        ErrorKind::Server(ServerErrorKind::ReadOnly) => return StoreErrorKind::ReadOnly,
        ErrorKind::Server(ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown) => {
            return StoreErrorKind::Unreachable;
        }
        ErrorKind::InvalidClientConfig => return StoreErrorKind::Config,
        _ => {}
    }
    // Redis 6 wraps what happens in a script into an ERR of its own, with the code somewhere in the text.
    let text = error.to_string();
    let found = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
    match () {
        () if found(&["WRONGTYPE"]) => StoreErrorKind::WrongType,
        () if found(&["OOM"]) => StoreErrorKind::OutOfMemory,
        () if found(&["READONLY", "MISCONF", "NOREPLICAS"]) => StoreErrorKind::ReadOnly,
        () if found(&["NOAUTH", "WRONGPASS", "NOPERM", "unauthenticated"]) => StoreErrorKind::Denied,
        () if found(&["LOADING"]) => StoreErrorKind::Loading,
        () => StoreErrorKind::Other,
    }
}

/// Whether the error came out of a script, over a connection that is sound.
pub(super) fn is_of_a_script(error: &RedisError) -> bool {
    matches!(
        kind(error),
        StoreErrorKind::WrongType | StoreErrorKind::OutOfMemory | StoreErrorKind::ReadOnly
    )
}
