//! The status codes of gRPC.

use crate::Outcome;

/// A gRPC status code.
///
/// A number that gRPC does not define is [`Unknown`](Code::Unknown), as gRPC's own libraries have it.
///
/// ```
/// use http_outcome::{Outcome, grpc::Code};
///
/// assert_eq!(Code::from(14_u32), Code::Unavailable);
/// assert_eq!(Code::Unavailable.outcome(), Outcome::Failure);
/// assert_eq!(Code::Unavailable.number(), 14);
/// assert_eq!(Code::from(1_000_u32), Code::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// 0: no error.
    Ok,
    /// 1: the caller gave up.
    Cancelled,
    /// 2: an error nobody named.
    Unknown,
    /// 3: the request makes no sense.
    InvalidArgument,
    /// 4: no answer in time.
    DeadlineExceeded,
    /// 5: no such thing.
    NotFound,
    /// 6: there is one already.
    AlreadyExists,
    /// 7: the caller may not.
    PermissionDenied,
    /// 8: a quota, or the server, is used up.
    ResourceExhausted,
    /// 9: not in this state of things.
    FailedPrecondition,
    /// 10: lost a race; try the whole transaction again.
    Aborted,
    /// 11: past the valid range.
    OutOfRange,
    /// 12: the server does not do that.
    Unimplemented,
    /// 13: the server is broken inside.
    Internal,
    /// 14: the server is not there just now.
    Unavailable,
    /// 15: data is lost or damaged for good.
    DataLoss,
    /// 16: the caller did not say who it is.
    Unauthenticated,
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// What a call that ended with this code came to: a failure where the server is to blame, see the
    /// [table](crate::grpc).
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Ok => Outcome::Success,
            Self::Unknown | Self::DeadlineExceeded | Self::Internal | Self::Unavailable | Self::DataLoss => {
                Outcome::Failure
            }
            Self::ResourceExhausted => Outcome::Throttled,
            Self::Cancelled
            | Self::InvalidArgument
            | Self::NotFound
            | Self::AlreadyExists
            | Self::PermissionDenied
            | Self::FailedPrecondition
            | Self::Aborted
            | Self::OutOfRange
            | Self::Unimplemented
            | Self::Unauthenticated => Outcome::Neutral,
        }
    }
}

impl From<u32> for Code {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Cancelled,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            10 => Self::Aborted,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            15 => Self::DataLoss,
            16 => Self::Unauthenticated,
            _ => Self::Unknown,
        }
    }
}

impl From<i32> for Code {
    /// For the codes of other libraries, which are signed.
    fn from(number: i32) -> Self {
        u32::try_from(number).map_or(Self::Unknown, Self::from)
    }
}
