//! `cargo xtask bench`: builds the harness, counts instructions under callgrind, prints one table.

use crate::run::Step;
use crate::tools;

/// Runs the harness of the member `benches`, which does the rest.
pub(crate) fn run(quick: bool) -> Result<(), String> {
    tools::need("valgrind", "valgrind", "instruction counts")?;
    let rounds = if quick { "table --quick" } else { "table" };
    Step::cargo(&format!("run --profile bench --package fusebox-benches -- {rounds}")).run()
}
