//! An LLM gateway that survives its providers: `cargo run --release --example gateway`.
//!
//! Its parts stand beside this file; `lib.rs` says where to begin.

fn main() -> std::process::ExitCode {
    fusebox_examples::main()
}
