//! `cargo xtask COMMAND`: everything that is run on this workspace, in one place.

mod bench;
mod house;
mod run;
mod steps;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test     everything that must pass: all tests, each crate by itself, the core without std, the loom models
  lint     formatting, clippy, documentation
  prove    the loom models with a larger bound (long)
  bench    one table of what a call costs (add --quick for fewer rounds)
  help     this text

Tools that a command needs and does not find are installed with apt-get when it runs as root, else named.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => steps::test(),
        ["lint"] => steps::lint(),
        ["prove"] => steps::prove(),
        ["bench"] => bench::run(false),
        ["bench", "--quick"] => bench::run(true),
        ["help" | "--help" | "-h"] | [] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("xtask: there is no command {:?}\n\n{HELP}", args.join(" "));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}
