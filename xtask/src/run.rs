//! Running steps: their command lines, their times, the first failure.

use std::process::Command;
use std::time::Duration;

use crate::clock::Stopwatch;

/// A command to run from the workspace's folder.
pub(crate) struct Step {
    command: Command,
    line: String,
}

impl Step {
    /// `cargo` with the given words.
    pub(crate) fn cargo(words: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::new(Command::new(cargo), "cargo", words)
    }

    /// Another program with the given words.
    pub(crate) fn program(program: &str, words: &str) -> Self {
        Self::new(Command::new(program), program, words)
    }

    fn new(mut command: Command, name: &str, words: &str) -> Self {
        command.args(words.split_whitespace()).current_dir(crate::house::root());
        Self {
            command,
            line: format!("{name} {words}"),
        }
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.line = format!("{name}={value:?} {}", self.line);
        self
    }

    /// Runs it; an error names the command line.
    pub(crate) fn run(mut self) -> Result<(), String> {
        println!("\n==> {}", self.line);
        let status = self
            .command
            .status()
            .map_err(|error| format!("{}: {error}", self.line))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("failed ({status}): {}", self.line))
        }
    }
}

/// The steps of one command, with what each took.
#[derive(Default)]
pub(crate) struct Log {
    rows: Vec<(String, Option<Duration>)>,
}

impl Log {
    /// Runs a step. After the first failure the command ends: give the error on.
    pub(crate) fn run(&mut self, step: Step) -> Result<(), String> {
        let line = step.line.clone();
        let watch = Stopwatch::start();
        let result = step.run();
        let verdict = if result.is_ok() { "" } else { "FAILED " };
        self.rows.push((format!("{verdict}{line}"), Some(watch.read())));
        result
    }

    /// Says that something was left out, and why.
    pub(crate) fn skip(&mut self, what: &str) {
        println!("\n==> left out: {what}");
        self.rows.push((format!("left out: {what}"), None));
    }

    /// Prints every step with its time.
    pub(crate) fn summary(&self) {
        let total: Duration = self.rows.iter().filter_map(|row| row.1).sum();
        println!("\n{:>8}  step", "seconds");
        for (line, took) in &self.rows {
            let took = took.map_or_else(|| "-".into(), |took| format!("{:.1}", took.as_secs_f64()));
            println!("{took:>8}  {line}");
        }
        println!("{:>8.1}  in all", total.as_secs_f64());
    }
}
