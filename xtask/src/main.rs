//! `cargo xtask COMMAND`: everything that is run on this workspace, in one place.

mod bench;
mod clock;
mod house;
mod run;
mod steps;
mod tools;

use std::process::ExitCode;

use bench::Mode;
use run::Log;

const HELP: &str = "\
cargo xtask COMMAND

  test             everything that must pass: all tests, each published crate by itself, the core without std, loom models
  lint             formatting, clippy, documentation
  prove [N]        the loom models with up to N preemptions, from 4 (the default) on: minutes to hours
  bench            one table of what a call costs, also in target/bench.md
  bench --quick    the same from fewer rounds
  bench --check    the gates alone: fails when an admitted call allocates (part of `test`)
  help             this text

The first step that fails ends a command, and its exit code is not 0.
Programs that a command needs and does not find are installed with apt-get when it runs as root, else named.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut log = Log::default();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => steps::test(&mut log),
        ["lint"] => steps::lint(&mut log),
        ["prove"] => steps::prove(&mut log, 4),
        ["prove", most] if most.parse::<u32>().is_ok() => steps::prove(&mut log, most.parse().unwrap_or(4)),
        ["bench"] => bench::run(&mut log, Mode::Full),
        ["bench", "--quick"] => bench::run(&mut log, Mode::Quick),
        ["bench", "--check"] => bench::run(&mut log, Mode::Check),
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [] => {
            eprintln!("xtask: which command?\n\n{HELP}");
            return ExitCode::from(2);
        }
        _ => {
            eprintln!("xtask: there is no command `{}`\n\n{HELP}", args.join(" "));
            return ExitCode::from(2);
        }
    };
    log.summary();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}
