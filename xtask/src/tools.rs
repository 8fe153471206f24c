//! Programs that a command needs and cargo does not bring.

use std::process::{Command, Stdio};

use crate::house;
use crate::run::Step;

/// What tests start: the program, Debian's package that has it, what for.
const STARTED: [(&str, &str, &str); 3] = [
    ("redis-server", "redis-server", "the tests of the Redis store"),
    ("redis-cli", "redis-tools", "the tests of the Redis store"),
    ("kill", "procps", "the tests that end a process"),
];

/// Makes sure of every program that a test in the workspace starts.
pub(crate) fn for_tests() -> Result<(), String> {
    for (program, package, what_for) in STARTED {
        if house::tests_mention(&format!("Command::new(\"{program}\")")) {
            need(program, package, what_for)?;
        }
    }
    Ok(())
}

/// Makes sure that `program` is there: installs Debian's `package` when run as root, else names it.
pub(crate) fn need(program: &str, package: &str, what_for: &str) -> Result<(), String> {
    if is_there(program) {
        return Ok(());
    }
    let missing =
        format!("{program} is missing; {what_for} need it: install the package {package} (apt-get install {package})");
    if !is_there("apt-get") || !is_root() {
        return Err(missing);
    }
    println!("{program} is missing: installing {package}");
    Step::program("apt-get", "update -q").run()?;
    Step::program("apt-get", &format!("install -y -q --no-install-recommends {package}"))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()?;
    if is_there(program) { Ok(()) } else { Err(missing) }
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
