//! A small operator that restarts what fails, and does not do so for ever.
//!
//! ```sh
//! cargo run -p cooldown-layer --example repair_operator --features file -- repairs.redb
//! ```
//!
//! It looks at simulated workloads, five times a second. What fails is restarted through a [`CooldownLayer`]: at most 5
//! restarts in 15 min, never postgres, redis or clickhouse, nothing that has not helped before, and from the tenth time
//! in a day on a person is asked. Kill it with `kill -9` while it runs and start it again: the budget is in the file, so
//! the second run goes on where the first was stopped. `ROUNDS` says how often it looks before it ends (default 40).

use std::time::Duration;

use cooldown_layer::{
    Action, AnomalyLedger, BoxError, Budget, Cooldown, CooldownLayer, FileStore, Level, Protect, Reason, Refused,
    Signature,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// A workload that fails again some looks after each restart.
struct Workload {
    name: &'static str,
    fails_every: u64,
    failed_at: Option<u64>,
}

#[derive(Clone)]
struct Repair {
    target: &'static str,
    anomaly: Signature,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "repairs.redb".to_owned());
    let rounds: u64 = std::env::var("ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(40);

    let ledger = AnomalyLedger::builder("anomalies")
        .store(FileStore::open(path)?)
        .build()?;
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(5).per(Duration::from_secs(15 * 60)))
        .protect(["postgres", "redis", "clickhouse"])
        .protect([Protect::glob("kube-system/**")])
        .ledger(&ledger)
        .build()?;

    // What restarts: here it only takes a while.
    let restart = service_fn(|repair: Repair| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        println!("RESTARTED {}", repair.target);
        Ok::<_, BoxError>(())
    });
    let mut operator = ServiceBuilder::new()
        .layer(CooldownLayer::new(repairs.clone(), |repair: &Repair| {
            Action::new("restart", repair.target).because_of(&repair.anomaly)
        }))
        .service(restart);

    let mut workloads = [
        Workload {
            name: "deployment/api",
            fails_every: 2,
            failed_at: None,
        },
        Workload {
            name: "deployment/mail",
            fails_every: 7,
            failed_at: None,
        },
        Workload {
            name: "statefulset/postgres-0",
            fails_every: 11,
            failed_at: None,
        },
    ];
    for round in 1..=rounds {
        for workload in workloads
            .iter_mut()
            .filter(|workload| round % workload.fails_every == 0)
        {
            workload.failed_at.get_or_insert(round);
        }
        for workload in workloads.iter_mut().filter(|workload| workload.failed_at.is_some()) {
            let anomaly = Signature::new("PodNotReady").service(workload.name);
            let seen = ledger.record(&anomaly).await;
            if seen.needs(Level::Escalate) {
                mail(&format!(
                    "{} failed {} times in 24 h: level {}",
                    workload.name, seen.last_24h, seen.level
                ));
            }
            match operator
                .ready()
                .await?
                .call(Repair {
                    target: workload.name,
                    anomaly,
                })
                .await
            {
                Ok(()) => workload.failed_at = None,
                Err(error) => match Refused::find(&*error).map(Refused::reason) {
                    Some(Reason::NeedsHuman { .. } | Reason::Protected { .. }) => mail(&error.to_string()),
                    _ => println!("LEFT ALONE {error}"),
                },
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = repairs.status().await;
    println!(
        "{} of {} restarts in the last 15 min",
        status.budgets[0].used, status.budgets[0].of
    );
    Ok(())
}

/// Where a letter to the people on call would be sent.
fn mail(text: &str) {
    println!("MAIL to on-call: {text}");
}
