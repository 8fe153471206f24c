//! What kept a request's first provider from answering, told from one provider's service to the response's head.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use fusebox::BoxError;
use fusebox::prelude::Refusal;

/// In a request's extensions, shared by all its copies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(Arc<AtomicU8>);

const UNTRIED: u8 = 0;
const REFUSAL: u8 = 1;
const TIMEOUT: u8 = 2;
const ERROR: u8 = 3;

impl Trail {
    /// A provider has failed. What the first one failed of stays.
    pub(crate) fn failed(&self, error: &BoxError) {
        let cause = if Refusal::find(&**error).is_some() {
            REFUSAL
        } else if ran_out(&**error) {
            TIMEOUT
        } else {
            ERROR
        };
        let _ = self
            .0
            .compare_exchange(UNTRIED, cause, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why the first provider did not answer a request that another has answered.
    pub(crate) fn cause(&self) -> &'static str {
        match self.0.load(Ordering::Relaxed) {
            TIMEOUT => "timeout",
            ERROR => "error",
            // Also of one that was not asked at all.
            _ => "refusal",
        }
    }
}

fn ran_out(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<tokio::time::error::Elapsed>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_stays() {
        let trail = Trail::default();
        assert_eq!(trail.cause(), "refusal");
        trail.failed(&"broken".into());
        trail.clone().failed(&Refusal::new(None).into());
        assert_eq!(trail.cause(), "error");
    }
}
