//! Running one step: its command line, its time, its failure.

use std::process::Command;

/// A command to run from the workspace's folder.
pub(crate) struct Step {
    command: Command,
    line: String,
}

impl Step {
    /// `cargo` with the given words.
    pub(crate) fn cargo(words: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(words.split_whitespace()).current_dir(crate::house::root());
        Self {
            command,
            line: format!("cargo {words}"),
        }
    }

    /// Another program with the given words.
    pub(crate) fn program(program: &str, words: &str) -> Self {
        let mut command = Command::new(program);
        command.args(words.split_whitespace()).current_dir(crate::house::root());
        Self {
            command,
            line: format!("{program} {words}"),
        }
    }

    /// Adds an environment variable.
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
