//! Decisions a second, and round trips a decision, for each store.
//!
//! ```sh
//! cargo bench -p cooldown-layer --all-features
//! ```
//!
//! A plain program, because what counts here is dear: a sync of a file, a round trip. Each figure is the best of several
//! rounds, so that a busy machine harms it least.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cooldown_layer::{Action, AnomalyLedger, Budget, Cooldown, MemoryStore, Signature, Store};

#[allow(clippy::disallowed_methods)] // a bench measures the time that passes
fn now() -> Instant {
    Instant::now()
}

fn cooldown(store: &Arc<dyn Store>, name: &str, budget: Budget) -> Cooldown {
    // Leases end at once: what nobody settles must not fill the store.
    Cooldown::builder(name)
        .budget(budget)
        .lease_time(Duration::from_millis(5))
        .store(store.clone())
        .store_timeout(Duration::from_secs(10))
        .build()
        .expect("valid")
}

/// The best time for one of `count` runs of `run`, over `rounds` rounds.
async fn best(rounds: usize, count: u32, run: impl AsyncFn(usize, u32)) -> Duration {
    let mut best = Duration::MAX;
    for round in 0..rounds {
        let start = now();
        for n in 0..count {
            run(round, n).await;
        }
        best = best.min(start.elapsed() / count);
    }
    best
}

fn show(store: &str, what: &str, time: Duration) {
    println!(
        "{store:<7} {what:<38} {:>10.2} us   {:>10.0} a second",
        time.as_secs_f64() * 1e6,
        1.0 / time.as_secs_f64()
    );
}

async fn measure(store: Arc<dyn Store>, rounds: usize, count: u32) {
    let name = store.name();
    // A window that is over at once: every request is granted, and the log stays short, as with a real budget.
    let free = cooldown(&store, "granted", Budget::of(100_000).per(Duration::from_millis(5)));
    let settled = best(rounds, count, async |_, _| {
        free.request(Action::new("restart", "deployment/api"))
            .await
            .expect("granted")
            .succeeded()
            .await;
    })
    .await;
    let granted = best(rounds, count, async |_, _| {
        std::mem::forget(
            free.request(Action::new("restart", "deployment/api"))
                .await
                .expect("granted"),
        );
    })
    .await;
    let spent = cooldown(&store, "spent", Budget::of(5).each_target());
    for _ in 0..5 {
        let _ = spent
            .request(Action::new("restart", "deployment/api"))
            .await
            .map(std::mem::forget);
    }
    // Another handle, as another instance would have it: its own account is empty, so the store refuses.
    let other = cooldown(&store, "spent", Budget::of(5).each_target());
    let refused = best(rounds, count, async |_, _| {
        assert!(other.request(Action::new("restart", "deployment/api")).await.is_err());
    })
    .await;
    let ledger = AnomalyLedger::builder("a").store(store.clone()).build().expect("valid");
    let recorded = best(rounds, count.min(2_000), async |round, _| {
        assert!(
            ledger
                .record(Signature::new(format!("round {round}")))
                .await
                .fault
                .is_none()
        );
    })
    .await;
    show(name, "granted", granted);
    show(name, "granted and settled", settled);
    show(name, "refused by the store", refused);
    show(name, "anomaly recorded", recorded);
    let start = now();
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let free = free.clone();
            tokio::spawn(async move {
                for _ in 0..count / 16 {
                    std::mem::forget(free.request(Action::new("restart", "deployment/api")).await);
                }
            })
        })
        .collect();
    for task in asking {
        task.await.expect("no panic");
    }
    show(name, "granted, 16 tasks at once", start.elapsed() / (count / 16 * 16));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    measure(Arc::new(MemoryStore::new()), 20, 5_000).await;
    #[cfg(feature = "file")]
    {
        let folder = std::env::temp_dir().join(format!("cooldown-bench-{}", cooldown_layer::DecisionId::new()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let store = cooldown_layer::FileStore::open(folder.join("bench.redb")).expect("a file");
        measure(Arc::new(store), 3, 320).await;
        std::fs::remove_dir_all(folder).expect("removable");
    }
    #[cfg(feature = "redis")]
    redis::measure().await;
}

#[cfg(feature = "redis")]
mod redis {
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;

    use cooldown_layer::{Action, Budget, RedisStore};

    struct Server(Child, u16);

    impl Server {
        fn cli(&self, args: &[&str]) -> String {
            let output = Command::new("redis-cli")
                .args(["-p", &self.1.to_string()])
                .args(args)
                .output()
                .expect("redis-cli");
            String::from_utf8_lossy(&output.stdout).into_owned()
        }

        fn calls(&self, command: &str) -> u64 {
            let stats = self.cli(&["INFO", "commandstats"]);
            let of = stats
                .lines()
                .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            of.map_or(0, |rest| {
                rest.split(',').next().and_then(|n| n.parse().ok()).expect("a number")
            })
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    pub(super) async fn measure() {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server cannot be started: install the package redis-server");
        let server = Server(child, port);
        let store =
            RedisStore::builder(format!("redis://127.0.0.1:{port}")).deadline(std::time::Duration::from_secs(5));
        let store = store.build().expect("valid");
        while store.ping().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        super::measure(Arc::new(store.clone()), 3, 2_000).await;
        // Round trips, counted by the server.
        let store: Arc<dyn cooldown_layer::Store> = Arc::new(store);
        let repairs = super::cooldown(&store, "trips", Budget::of(100_000));
        let before = server.calls("evalsha") + server.calls("eval");
        for _ in 0..1_000 {
            std::mem::forget(
                repairs
                    .request(Action::new("restart", "deployment/api"))
                    .await
                    .expect("granted"),
            );
        }
        let calls = server.calls("evalsha") + server.calls("eval") - before;
        println!(
            "redis   {calls} script calls for 1000 decisions: {:.3} round trips a decision",
            calls as f64 / 1000.0
        );
    }
}
