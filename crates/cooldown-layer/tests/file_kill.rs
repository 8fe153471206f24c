//! Killed at any instant, a file forgets nothing that was given, and never gives more than the budget.

mod support;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use cooldown_layer::{Action, Budget, Cooldown, FileStore, StoreFailure};
use support::{Folder, HOUR, Rng};

const FILE: &str = "COOLDOWN_KILL_FILE";
const BUDGET: u32 = 1_500;

fn cooldown(store: FileStore) -> Cooldown {
    Cooldown::builder("repairs")
        .budget(Budget::of(BUDGET).per(24 * HOUR))
        .store(store)
        .store_timeout(10 * support::SECOND)
        .on_store_failure(StoreFailure::Refuse)
        .build()
        .expect("valid")
}

/// The child: takes leases as fast as it can and names each one that it was given.
#[tokio::test]
async fn child_takes_leases_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let repairs = cooldown(FileStore::open(path).expect("the file opens after every kill"));
    let mut out = std::io::stdout();
    loop {
        match repairs.request(Action::new("restart", "api")).await {
            Ok(lease) => {
                writeln!(out, "given {}", lease.id()).expect("the parent reads");
                out.flush().expect("the parent reads");
                std::mem::forget(lease);
            }
            Err(refused) => {
                writeln!(out, "refused {}", refused.reason().as_str()).expect("the parent reads");
                out.flush().expect("the parent reads");
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        }
    }
}

/// Runs a child until `enough` says so of a line, then for `more`, then kills it. Its lines.
async fn run(folder: &Folder, mut enough: impl FnMut(&str) -> bool, at_once: bool, more: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_takes_leases_until_it_is_killed", "--nocapture"])
        .env(FILE, folder.file())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut from = BufReader::new(child.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    let mut lines = Vec::new();
    if !at_once {
        loop {
            let line = from.next().expect("the child says something");
            let last = enough(&line);
            lines.push(line);
            if last {
                break;
            }
        }
    }
    tokio::time::sleep(more).await;
    child.kill().expect("killed"); // SIGKILL
    lines.extend(from);
    let complaint = child.wait_with_output().expect("over").stderr;
    let complaint = String::from_utf8_lossy(&complaint);
    assert!(!complaint.contains("panicked"), "{complaint}");
    lines
}

#[tokio::test]
async fn after_200_kills_nothing_given_is_forgotten_and_the_sum_is_within_the_budget() {
    let folder = Folder::new();
    let mut rng = Rng(42);
    let mut given = HashSet::new();
    let mut spent_before = 0;
    for kill in 0..=200 {
        let lines = match kill {
            // The last one may run until the budget is spent.
            200 => {
                run(
                    &folder,
                    |line| line.contains("refused over_budget"),
                    false,
                    Duration::ZERO,
                )
                .await
            }
            // Every other one at any instant of its start, the rest at any instant once it takes leases: however busy
            // the machine is, both happen.
            _ if kill % 2 == 0 => run(&folder, |_| true, true, Duration::from_micros(rng.below(40_000))).await,
            _ => {
                let begun = |line: &str| line.contains("given ") || line.contains("refused ");
                run(&folder, begun, false, Duration::from_micros(rng.below(4_000))).await
            }
        };
        for line in lines {
            // libtest writes its own words before the first line, without an end.
            if let Some((_, id)) = line.split_once("given ").filter(|(_, id)| id.len() == 32) {
                assert!(given.insert(id.to_owned()), "kill {kill}: {id} was given twice");
            }
        }
        let status = cooldown(FileStore::open(folder.file()).expect("opens")).status().await;
        let used = status.budgets[0].used;
        assert!(
            used >= given.len() as u64,
            "kill {kill}: {} given, {used} known",
            given.len()
        );
        assert!(used >= spent_before, "kill {kill}: {spent_before} units became {used}");
        assert!(used <= u64::from(BUDGET), "kill {kill}: {used}");
        spent_before = used;
    }
    println!(
        "200 kills: {} leases given, {spent_before} of {BUDGET} units spent",
        given.len()
    );
    assert!(
        given.len() >= 100,
        "the children took only {} leases: nothing was tested",
        given.len()
    );
    assert_eq!(spent_before, u64::from(BUDGET), "the last child stopped early");
}

const FULL: &str = "COOLDOWN_FULL_FILE";

fn wordy(n: u32) -> Action {
    Action::new("restart", format!("{n}-{}", "x".repeat(1_000)))
}

fn each_target(store: FileStore) -> Cooldown {
    Cooldown::builder("repairs")
        .budget(Budget::of(1).per(24 * HOUR).each_target())
        .store(store)
        .store_timeout(10 * support::SECOND)
        .on_store_failure(StoreFailure::Refuse)
        .build()
        .expect("valid")
}

/// The child: its files may not grow past a bound, so at some time no write succeeds any more.
#[tokio::test]
async fn child_fills_the_disk() {
    let Some(path) = std::env::var_os(FULL) else { return };
    let repairs = each_target(FileStore::open(path).expect("opens"));
    for n in 0..20_000 {
        match repairs.request(wordy(n)).await {
            Ok(lease) => std::mem::forget(lease),
            Err(refused) => {
                println!("given {n} then {refused}");
                // It goes on refusing what it cannot write, and goes on knowing what it has written.
                println!("again {}", repairs.request(wordy(n)).await.expect_err("still full"));
                println!(
                    "known {}",
                    repairs.request(wordy(0)).await.expect_err("spent").reason().as_str()
                );
                return;
            }
        }
    }
    println!("the disk was never full");
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_refuses_and_forgets_nothing() {
    let folder = Folder::new();
    drop(FileStore::open(folder.file()).expect("new"));
    let size = std::fs::metadata(folder.file()).expect("made").len();
    // A write over the limit is an error, and no signal that ends the process.
    let limit = format!(
        "ulimit -f {}; trap '' XFSZ; exec \"$0\" \"$@\"",
        (size + (1 << 20)) / 512
    );
    let output = Command::new("sh")
        .args(["-c", &limit])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_fills_the_disk", "--nocapture"])
        .env(FULL, folder.file())
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |start: &str| {
        said.lines()
            .find_map(|line| line.split_once(start))
            .map(|(_, rest)| rest.to_owned())
    };
    let given = line("given ").unwrap_or_else(|| panic!("{said}"));
    assert!(given.contains("cannot be read or written"), "{given}");
    assert!(
        line("again ").is_some_and(|again| again.contains("cannot be read or written")),
        "{said}"
    );
    assert_eq!(line("known ").as_deref(), Some("over_budget"), "{said}");
    let given: u32 = given.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(given > 10, "{said}");
    let repairs = each_target(FileStore::open(folder.file()).expect("opens where there is room"));
    for n in 0..given {
        let refused = repairs.request(wordy(n)).await.expect_err("given before");
        assert_eq!(refused.reason().as_str(), "over_budget", "{n} of {given}");
    }
    drop(repairs.request(wordy(given + 1)).await.expect("and goes on"));
}
