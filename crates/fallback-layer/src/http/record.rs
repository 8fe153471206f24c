//! Taking down a body while it passes by.

use core::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http_outcome::{Outcome, Protocol};

/// What is done with a body that came whole.
pub(crate) type Finish = Box<dyn FnOnce(Bytes, Option<HeaderMap>) + Send + Sync>;

/// The bytes of a body so far, up to a bound.
pub(crate) struct Record {
    bytes: Vec<u8>,
    max: usize,
    // Says by what the end is judged: gRPC by its trailers, without which it did not go well.
    protocol: Protocol,
    // `None` as soon as it is settled: stored, too long, failed.
    finish: Option<Finish>,
}

impl Record {
    pub(crate) fn new(expected: u64, max: usize, protocol: Protocol, finish: Finish) -> Self {
        let expected = usize::try_from(expected).unwrap_or(max).min(max);
        Self {
            bytes: Vec::with_capacity(expected),
            max,
            protocol,
            finish: Some(finish),
        }
    }

    /// Takes down what passes. More than the bound and nothing will be stored.
    pub(crate) fn data(&mut self, data: &Bytes) {
        if self.finish.is_none() {
            return;
        }
        if data.len() > self.max - self.bytes.len() {
            self.give_up();
        } else {
            self.bytes.extend_from_slice(data);
        }
    }

    /// The end, with trailers or without.
    pub(crate) fn end(&mut self, trailers: Option<&HeaderMap>) {
        if self.protocol.judge_end(trailers).outcome != Outcome::Success {
            self.give_up();
        } else if let Some(finish) = self.finish.take() {
            finish(
                Bytes::from(core::mem::take(&mut self.bytes).into_boxed_slice()),
                trailers.cloned(),
            );
        }
    }

    /// The body failed or is too long.
    pub(crate) fn give_up(&mut self) {
        self.finish = None;
        self.bytes = Vec::new();
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("bytes", &self.bytes.len())
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}
