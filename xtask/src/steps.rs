//! What `test`, `lint` and `prove` do.

use crate::house;
use crate::run::Step;
use crate::tools;

/// Everything that must pass.
pub(crate) fn test() -> Result<(), String> {
    if house::has("cooldown-layer", "src/redis/mod.rs") || house::has("cooldown-layer", "src/redis.rs") {
        tools::need("redis-server", "redis-server", "the tests of the Redis store")?;
    }
    Step::cargo("test --workspace --all-features --no-fail-fast").run()?;
    for name in house::crates()? {
        Step::cargo(&format!("check --package {name} --no-default-features")).run()?;
    }
    Step::cargo("test --package state-core --no-default-features").run()?;
    loom("3")
}

/// Formatting, clippy, documentation.
pub(crate) fn lint() -> Result<(), String> {
    Step::cargo("fmt --all --check").run()?;
    Step::cargo("clippy --workspace --all-targets --all-features -- -D warnings").run()?;
    Step::cargo("doc --workspace --all-features --no-deps")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// The loom models with one more preemption.
pub(crate) fn prove() -> Result<(), String> {
    loom("4")
}

/// The models stand in crates that build without tokio's network parts, in a target folder of their own.
fn loom(preemptions: &str) -> Result<(), String> {
    for name in house::crates()? {
        if house::has(&name, "tests/loom.rs") {
            Step::cargo(&format!(
                "test --release --package {name} --test loom --target-dir target/loom"
            ))
            .env("RUSTFLAGS", "--cfg fusebox_loom")
            .env("LOOM_MAX_PREEMPTIONS", preemptions)
            .run()?;
        }
    }
    Ok(())
}
