//! What a call costs: through a bare service, through each of our layers, through what else there is.
//!
//! Every case is the same loop round a service whose future is ready at once, so what a row says over the bare service is
//! what stands round it. Four figures a row:
//!
//! - *nanoseconds*, with one thread and with two that share one stack: medians of rounds in which every case has its turn,
//!   in processor time of the calling thread; a round in which the machine took the thread away is measured again;
//! - *instructions*, counted by callgrind as the difference between 2n and n calls, so that what surrounds the loop cancels
//!   out; with one toolchain and processor they repeat exactly, and so are what to compare two versions by;
//! - *allocations* of the calling thread; the test `allocations` holds ours to none.

pub mod alloc;
pub mod bare;
pub mod case;
pub mod circuits;
pub mod clock;
pub mod instructions;
pub mod layers;
pub mod measure;
pub mod peers;
pub mod pools;
pub mod table;

use case::Case;

/// Every case, the bare service first.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = bare::cases();
    cases.extend(ours());
    cases.extend(peers::cases());
    cases
}

/// Those of them that are ours, which the gates hold to their limits.
#[must_use]
pub fn ours() -> Vec<Case> {
    let mut cases = circuits::cases();
    cases.extend(layers::cases());
    cases.extend(pools::cases());
    cases
}
