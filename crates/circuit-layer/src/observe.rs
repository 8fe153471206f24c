//! What is seen from outside.

use state_core::{Circuit, Refused};

/// A layer was made for this circuit.
pub(crate) fn register(circuit: Circuit) {
    let _ = circuit;
}

/// A call was refused.
pub(crate) fn refused(refused: &Refused) {
    let _ = refused;
}
