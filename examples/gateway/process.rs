//! The gateway once more, as a target that cargo builds for the tests that run it and whose path it tells them.

fn main() -> std::process::ExitCode {
    fusebox_examples::main()
}
