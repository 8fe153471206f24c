//! The example, killed with SIGKILL and started again: the budget holds.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::Folder;

/// Where cargo puts examples that it builds for a test run.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let target = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let example = target
        .join("examples")
        .join(format!("repair_operator{}", std::env::consts::EXE_SUFFIX));
    if !example.exists() {
        // `cargo test --test repair_operator` builds no examples; a whole `cargo test` does.
        let arguments = [
            "build",
            "-p",
            "cooldown-layer",
            "--example",
            "repair_operator",
            "--features",
            "file",
        ];
        let built = Command::new(env!("CARGO")).args(arguments).status().expect("cargo");
        assert!(built.success());
    }
    example
}

#[test]
fn run_twice_with_a_kill_between_the_budget_holds() {
    let folder = Folder::new();
    let mut first = Command::new(example())
        .arg(folder.file())
        .env("ROUNDS", "1000")
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo builds the example with this test");
    let mut lines = BufReader::new(first.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    // Killed right after the third restart, while it runs on.
    let mut restarts = 0;
    for line in lines.by_ref() {
        restarts += usize::from(line.starts_with("RESTARTED"));
        if restarts == 3 {
            break;
        }
    }
    first.kill().expect("killed"); // SIGKILL
    first.wait().expect("over");
    restarts += lines.filter(|line| line.starts_with("RESTARTED")).count();

    let second = Command::new(example())
        .arg(folder.file())
        .env("ROUNDS", "24")
        .output()
        .expect("runs again");
    let said = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(
        second.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&second.stderr)
    );
    let again = said.lines().filter(|line| line.starts_with("RESTARTED")).count();
    assert!(restarts >= 3 && again >= 1, "{restarts} and {again}: {said}");
    assert!(
        restarts + again <= 5,
        "{restarts} and {again} restarts in 15 min: {said}"
    );
    for part in [
        "budget 5 per 15 min is spent; frozen until",
        "5 of 5 restarts in the last 15 min",
        "MAIL to on-call: deployment/api failed 5 times in 24 h: level escalate",
        "MAIL to on-call: action restart on statefulset/postgres-0 refused: protected by \"postgres\"",
        "level permanent_fix and needs a person",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert!(!said.contains("RESTARTED statefulset/postgres-0"));
}
