//! Killed at any instant, a file forgets nothing that was given, and never gives more than the budget.

mod support;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use cooldown_layer::{Action, Budget, Cooldown, FileStore, StoreFailure};
use support::{Folder, HOUR, Rng};

const FILE: &str = "COOLDOWN_KILL_FILE";
const BUDGET: u32 = 400;

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

#[tokio::test]
async fn after_200_kills_nothing_given_is_forgotten_and_the_sum_is_within_the_budget() {
    let folder = Folder::new();
    let mut rng = Rng(42);
    let mut given = HashSet::new();
    let (mut spent_before, mut refusals) = (0, 0);
    for kill in 0..200 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_takes_leases_until_it_is_killed", "--nocapture"])
            .env(FILE, folder.file())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child");
        tokio::time::sleep(Duration::from_micros(rng.below(60_000))).await;
        child.kill().expect("killed"); // SIGKILL
        let output = child.wait_with_output().expect("over");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!complaint.contains("panicked"), "kill {kill}: {complaint}");
        for line in BufReader::new(&output.stdout[..]).lines().map_while(Result::ok) {
            // libtest writes its own words before the first line, without an end.
            if let Some((_, id)) = line.split_once("given ").filter(|(_, id)| id.len() == 32) {
                assert!(given.insert(id.to_owned()), "kill {kill}: {id} was given twice");
            }
            if line.contains("refused over_budget") {
                refusals += 1;
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
        "200 kills: {} leases given, {spent_before} of {BUDGET} units spent, {refusals} refusals seen",
        given.len()
    );
    assert!(
        given.len() > 50,
        "the children took only {} leases: nothing was tested",
        given.len()
    );
    assert!(refusals > 0, "the budget was never spent: its bound was not tested");
}
