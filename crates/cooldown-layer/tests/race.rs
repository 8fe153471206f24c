//! 16 tasks race for 5 units: 5 are given, 1,000 times in a row.

#[cfg(feature = "redis")]
#[path = "support/server.rs"]
mod server;
mod support;

use std::sync::Arc;

use cooldown_layer::store::Store;
use cooldown_layer::{Action, Budget, Cooldown, MemoryStore, StoreFailure};
use support::SECOND;

const ROUNDS: usize = 1_000;

fn cooldown(store: &Arc<dyn Store>, round: usize) -> Cooldown {
    Cooldown::builder(format!("race-{round}"))
        .budget(Budget::of(5))
        .budget(Budget::of(5).each_target())
        .store(store.clone())
        .store_timeout(20 * SECOND)
        .on_store_failure(StoreFailure::Refuse)
        .build()
        .expect("valid")
}

/// So many tasks ask at once; how many were given a unit.
async fn race(repairs: &Cooldown, tasks: usize) -> usize {
    let gate = Arc::new(tokio::sync::Barrier::new(tasks));
    let asking: Vec<_> = (0..tasks)
        .map(|_| {
            let (repairs, gate) = (repairs.clone(), gate.clone());
            tokio::spawn(async move {
                gate.wait().await;
                match repairs.request(Action::new("restart", "api")).await {
                    Ok(lease) => {
                        std::mem::forget(lease); // nobody has time to settle in a race
                        true
                    }
                    Err(refused) => {
                        assert_eq!(refused.reason().as_str(), "over_budget", "{refused}");
                        false
                    }
                }
            })
        })
        .collect();
    let mut given = 0;
    for task in asking {
        given += usize::from(task.await.expect("no panic"));
    }
    given
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_sixteen_tasks_race_for_five_units_a_thousand_times() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    for round in 0..ROUNDS {
        assert_eq!(race(&cooldown(&store, round), 16).await, 5, "round {round}");
    }
}

#[cfg(feature = "file")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_file_sixteen_tasks_race_for_five_units_a_thousand_times() {
    let folder = support::Folder::new();
    let store: Arc<dyn Store> = Arc::new(cooldown_layer::FileStore::open(folder.file()).expect("new"));
    for round in 0..ROUNDS {
        assert_eq!(race(&cooldown(&store, round), 16).await, 5, "round {round}");
    }
}

#[cfg(feature = "redis")]
mod redis {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use cooldown_layer::RedisStore;

    use super::server::Server;
    use super::{Arc, Cooldown, ROUNDS, Store, cooldown, race};

    const URL: &str = "COOLDOWN_RACE_URL";

    /// The child: runs four tasks a round, and says how many were given a unit.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn child_races_when_it_is_told() {
        let Some(url) = std::env::var_os(URL) else { return };
        let store = RedisStore::builder(url.into_string().expect("a URL"))
            .deadline(20 * super::SECOND)
            .build();
        let store: Arc<dyn Store> = Arc::new(store.expect("a URL"));
        let mut lines = BufReader::new(std::io::stdin()).lines();
        while let Some(Ok(line)) = lines.next() {
            let repairs: Cooldown = cooldown(&store, line.parse().expect("a round"));
            let given = race(&repairs, 4).await;
            let mut out = std::io::stdout();
            writeln!(out, "given {given}").expect("the parent reads");
            out.flush().expect("the parent reads");
        }
    }

    #[test]
    fn over_redis_sixteen_tasks_in_four_processes_race_for_five_units_a_thousand_times() {
        let server = Server::start(&[]);
        let mut children: Vec<_> = (0..4)
            .map(|_| {
                let mut child = Command::new(std::env::current_exe().expect("this test"))
                    .args(["--exact", "redis::child_races_when_it_is_told", "--nocapture"])
                    .env(URL, server.url())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("a child");
                let to = child.stdin.take().expect("piped");
                let from = BufReader::new(child.stdout.take().expect("piped")).lines();
                (child, to, from)
            })
            .collect();
        for round in 0..ROUNDS {
            for (_, to, _) in &mut children {
                writeln!(to, "{round}").expect("the child reads");
            }
            let mut given = 0;
            for (_, _, from) in &mut children {
                // libtest writes its own words before the first line.
                let line = from.map_while(Result::ok).find(|line| line.contains("given "));
                let line = line.expect("the child answers");
                given += line
                    .rsplit(' ')
                    .next()
                    .expect("a number")
                    .parse::<usize>()
                    .expect("a number");
            }
            assert_eq!(given, 5, "round {round}");
        }
        println!("{ROUNDS} rounds of 16 tasks in 4 processes: 5 of 5 each time");
        for (mut child, to, _) in children {
            drop(to);
            assert!(child.wait().expect("over").success());
        }
    }
}
