//! The contract, kept by the file store; and what only a file can do wrong.

mod support;

use std::fs;
use std::sync::Arc;

use cooldown_layer::store::Store;
use cooldown_layer::store::StoreErrorKind::{self, Damaged, Foreign, Io};
use cooldown_layer::{Action, AnomalyLedger, Budget, Cooldown, FileStore, ManualWall, Signature, StoreFailure};
use support::{DAY, Folder, MINUTE, Rng, word};

fn make(clock: ManualWall) -> (Arc<dyn Store>, Folder) {
    let folder = Folder::new();
    (
        Arc::new(FileStore::open_with_clock(folder.file(), clock).expect("a new file")),
        folder,
    )
}

stores!(make);

fn cooldown(store: FileStore, budget: Budget) -> Cooldown {
    Cooldown::builder("repairs")
        .budget(budget)
        .store(store)
        .store_timeout(10 * support::SECOND)
        .on_store_failure(StoreFailure::Refuse)
        .build()
        .expect("valid")
}

fn restart() -> Action {
    Action::new("restart", "api").because_of(Signature::new("Down"))
}

#[tokio::test]
async fn what_was_given_is_known_after_a_restart() {
    let (folder, clock) = (Folder::new(), ManualWall::default());
    let open = || FileStore::open_with_clock(folder.file(), clock.clone()).expect("ours");
    let anomaly = Signature::new("Down");
    {
        let store = open();
        let ledger = AnomalyLedger::builder("repairs")
            .store(store.clone())
            .build()
            .expect("valid");
        ledger.record(&anomaly).await;
        ledger.mark_permanent_fix(&anomaly, "fixed").await;
        let repairs = cooldown(store, Budget::of(2).per(10 * MINUTE));
        repairs.request(restart()).await.expect("first").succeeded().await;
        std::mem::drop(repairs.request(restart()).await.expect("second"));
        repairs.freeze("night").await.expect("heard");
    }
    clock.advance(MINUTE);
    {
        let store = open();
        let ledger = AnomalyLedger::builder("repairs")
            .store(store.clone())
            .build()
            .expect("valid");
        let seen = ledger.frequency(&anomaly).await;
        assert_eq!(
            (seen.last_1h, seen.permanent_fix.map(|fix| fix.description)),
            (1, Some("fixed".to_owned()))
        );
        assert_eq!(ledger.success_rate(&anomaly, "restart").await.succeeded, 1);
        let repairs = cooldown(store, Budget::of(2).per(10 * MINUTE));
        assert_eq!(word(&repairs.request(restart()).await), "frozen");
        repairs.thaw().await.expect("heard");
        assert_eq!(word(&repairs.request(restart()).await), "over_budget");
    }
    clock.advance(9 * MINUTE);
    let repairs = cooldown(open(), Budget::of(2).per(10 * MINUTE));
    repairs
        .request(restart())
        .await
        .expect("the window is clear")
        .succeeded()
        .await;
}

#[tokio::test]
async fn random_walks_with_restarts_agree_with_the_plain_reference() {
    for seed in 1000..1006 {
        let (folder, clock) = (Folder::new(), ManualWall::default());
        let open =
            || Arc::new(FileStore::open_with_clock(folder.file(), clock.clone()).expect("ours")) as Arc<dyn Store>;
        let mut reopens = 0;
        let mut reopen = |store: Arc<dyn Store>| {
            drop(store);
            reopens += 1;
            open()
        };
        support::model::walk_with(&mut reopen, open(), &clock, seed, 300).await;
        assert!(reopens > 0);
    }
}

#[tokio::test]
async fn a_second_opener_is_told_and_the_first_goes_on() {
    let folder = Folder::new();
    let repairs = cooldown(FileStore::open(folder.file()).expect("new"), Budget::of(5));
    let error = FileStore::open(folder.file()).expect_err("in use");
    assert_eq!(error.kind(), StoreErrorKind::InUse);
    assert!(error.to_string().contains("one at a time"), "{error}");
    repairs.request(restart()).await.expect("undisturbed").succeeded().await;
    drop(repairs);
    FileStore::open(folder.file()).expect("free again");
}

#[tokio::test]
async fn a_foreign_or_damaged_file_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let path = folder.file();
    drop(
        cooldown(FileStore::open(&path).expect("new"), Budget::of(5))
            .request(restart())
            .await
            .expect("first"),
    );
    let good = fs::read(&path).expect("written");
    let refused = |bytes: &[u8], kinds: &[StoreErrorKind], what: &str| {
        fs::write(&path, bytes).expect("writable");
        let error = FileStore::open(&path).expect_err(what);
        assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
        assert!(error.to_string().contains("repairs.redb"), "{what}: {error}");
        assert!(
            fs::read(&path).expect("readable") == bytes,
            "{what}: nothing is written to it"
        );
    };
    refused(b"", &[Foreign], "an empty file");
    refused(b"budget = 5\n", &[Foreign], "a text");
    refused(&[0; 8192], &[Foreign], "zeros");
    for cut in [10, 100, 4096, good.len() / 2, good.len() - 4096] {
        refused(&good[..cut], &[Damaged, Foreign, Io], "cut short");
    }
    fs::write(&path, &good).expect("writable");
    FileStore::open(&path).expect("the whole file is good");

    // A database of somebody else, and one of a version to come.
    for (table, format, hint) in [("users", 1, "something else"), ("cooldown-layer", 99, "format 99")] {
        fs::remove_file(&path).expect("removable");
        let file = redb::Database::create(&path).expect("new");
        let write = file.begin_write().expect("begins");
        let definition = redb::TableDefinition::<&str, u64>::new(table);
        write
            .open_table(definition)
            .expect("opens")
            .insert("format", format)
            .expect("inserts");
        write.commit().expect("commits");
        drop(file);
        let error = FileStore::open(&path).expect_err("foreign");
        assert_eq!(error.kind(), Foreign);
        assert!(error.to_string().contains(hint), "{error}");
    }
    let folder_as_file = FileStore::open(&folder.0).expect_err("a folder");
    assert_eq!(folder_as_file.kind(), Io, "{folder_as_file}");
    let nowhere = FileStore::open(folder.0.join("no/such/folder/x.redb")).expect_err("no folder");
    assert_eq!(nowhere.kind(), Io, "{nowhere}");
}

#[tokio::test]
async fn a_flipped_bit_is_found_or_harmless() {
    let (folder, clock) = (Folder::new(), ManualWall::default());
    let path = folder.file();
    let open = || FileStore::open_with_clock(&path, clock.clone());
    {
        let repairs = cooldown(open().expect("new"), Budget::of(5));
        for _ in 0..5 {
            repairs.request(restart()).await.expect("within").succeeded().await;
        }
    }
    let good = fs::read(&path).expect("written");
    let used = good.iter().rposition(|byte| *byte != 0).expect("not empty");
    let (mut rng, mut found) = (Rng(7), 0);
    std::panic::set_hook(Box::new(|_| {})); // the reader may panic over nonsense: that is an error, not a report
    for _ in 0..60 {
        let mut bad = good.clone();
        let at = usize::try_from(rng.below(used as u64 + 1)).expect("small");
        bad[at] ^= 1 << rng.below(8);
        fs::write(&path, &bad).expect("writable");
        match open() {
            Ok(store) => {
                let got = cooldown(store, Budget::of(5)).request(restart()).await;
                assert_ne!(word(&got), "granted", "a bit at {at} must not give a sixth unit");
            }
            Err(_) => found += 1,
        }
    }
    let _ = std::panic::take_hook();
    assert!(found > 0, "no damage was ever found");
}

#[tokio::test]
async fn the_file_does_not_grow_without_end() {
    let (folder, clock) = (Folder::new(), ManualWall::default());
    let store = FileStore::open_with_clock(folder.file(), clock.clone()).expect("new");
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(3).per(MINUTE))
        .store(store.clone())
        .build()
        .expect("valid");
    let ledger = AnomalyLedger::builder("a").store(store.clone()).build().expect("valid");
    let mut sizes = Vec::new();
    for round in 0..6 {
        for n in 0..60 {
            let action = Action::new("restart", format!("pod-{round}-{n}")).because_of(Signature::new(format!("{n}")));
            if let Ok(lease) = repairs.request(action).await {
                lease.succeeded().await;
            }
            ledger.record(Signature::new(format!("{n}"))).await;
            clock.advance(MINUTE);
        }
        clock.advance(40 * DAY);
        sizes.push(fs::metadata(folder.file()).expect("there").len());
    }
    store.compact().expect("compacts");
    let small = fs::metadata(folder.file()).expect("there").len();
    assert!(
        small <= sizes[1] && sizes[5] <= 2 * sizes[1],
        "{sizes:?}, compacted {small}"
    );
    drop((repairs, ledger, store));
    FileStore::open_with_clock(folder.file(), clock).expect("opens compacted");
}

#[tokio::test]
async fn two_that_make_the_file_at_once_get_one_file() {
    for _ in 0..20 {
        let folder = Folder::new();
        let gate = std::sync::Barrier::new(4);
        let opened: Vec<_> = std::thread::scope(|scope| {
            let (path, gate) = (folder.file(), &gate);
            let open = || {
                let path = path.clone();
                scope.spawn(move || {
                    gate.wait();
                    FileStore::open(path)
                })
            };
            [open(), open(), open(), open()]
                .map(|thread| thread.join().expect("no panic"))
                .into()
        });
        assert_eq!(opened.iter().filter(|store| store.is_ok()).count(), 1, "{opened:?}");
        let names = fs::read_dir(&folder.0).expect("there").count();
        assert_eq!(names, 1, "no draft is left");
    }
}

#[test]
fn a_runtime_that_ends_with_work_in_flight_leaves_the_store_usable() {
    let folder = Folder::new();
    let store = FileStore::open(folder.file()).expect("new");
    let repairs = cooldown(store, Budget::of(1000));
    for _ in 0..5 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        for _ in 0..8 {
            let repairs = repairs.clone();
            runtime.spawn(async move { drop(repairs.request(restart()).await) });
        }
        runtime.shutdown_background();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { drop(repairs.request(restart()).await.expect("still decides")) });
}
