//! What `test`, `lint` and `prove` do.

use crate::run::{Log, Step};
use crate::{house, tools};

/// Crates with protocols on atomics, which have loom models.
const MODELLED: [&str; 3] = ["state-core", "concurrency-layer", "provider-pool"];

/// Everything that must pass.
pub(crate) fn test(log: &mut Log) -> Result<(), String> {
    tools::for_tests()?;
    log.run(Step::cargo("test --workspace --all-features --no-fail-fast"))?;
    // By itself: in the run above each crate has the features that all the others ask for.
    for name in house::crates()? {
        log.run(Step::cargo(&format!("check --package {name} --no-default-features")))?;
    }
    // Without its examples: they take the system's clock, which is in the feature std.
    log.run(Step::cargo(
        "test --package state-core --no-default-features --lib --tests",
    ))?;
    loom(log, 3)
}

/// Formatting, clippy, documentation.
pub(crate) fn lint(log: &mut Log) -> Result<(), String> {
    log.run(Step::cargo("fmt --all --check"))?;
    log.run(Step::cargo(
        "clippy --workspace --all-targets --all-features -- -D warnings",
    ))?;
    log.run(Step::cargo("doc --workspace --all-features --no-deps").env("RUSTDOCFLAGS", "-D warnings"))
}

/// The loom models with more preemptions than in the normal run, up to `most`.
pub(crate) fn prove(log: &mut Log, most: u32) -> Result<(), String> {
    (4..=most.max(4)).try_for_each(|preemptions| loom(log, preemptions))
}

/// Runs the models in a target folder of their own: their flag would have cargo build everything else again.
fn loom(log: &mut Log, preemptions: u32) -> Result<(), String> {
    let has_models = |name: &&str| house::has(name, "tests/loom.rs");
    let (modelled, without): (Vec<&str>, Vec<&str>) = MODELLED.into_iter().partition(has_models);
    for name in without {
        log.skip(&format!(
            "the loom models of {name}: there is no crates/{name}/tests/loom.rs"
        ));
    }
    if modelled.is_empty() {
        return Ok(());
    }
    let packages: Vec<String> = modelled.iter().map(|name| format!("--package {name}")).collect();
    let target = house::target().join("loom");
    let step = Step::cargo(&format!("test --release {} --test loom", packages.join(" ")))
        .env("CARGO_TARGET_DIR", &target.to_string_lossy())
        .env("LOOM_MAX_PREEMPTIONS", &preemptions.to_string())
        .env("RUSTFLAGS", "--cfg fusebox_loom");
    log.run(step)
}
