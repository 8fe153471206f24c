//! `cargo xtask bench`: builds the harness, which measures, counts instructions under callgrind and prints one table.

use crate::run::{Log, Step};
use crate::{house, tools};

/// What the harness is asked for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// The table, from many rounds.
    Full,
    /// The table, from few rounds.
    Quick,
    /// The gates alone.
    Check,
}

pub(crate) fn run(log: &mut Log, mode: Mode) -> Result<(), String> {
    if mode == Mode::Check {
        return log.run(Step::cargo("test --package fusebox-benches"));
    }
    tools::need("valgrind", "valgrind", "instruction counts")?;
    let out = house::target().join("bench.md");
    let words = if mode == Mode::Quick { "table --quick" } else { "table" };
    let step = Step::cargo(&format!("run --profile bench --package fusebox-benches -- {words}"));
    log.run(step.env("FUSEBOX_BENCH_OUT", &out.to_string_lossy()))
}
