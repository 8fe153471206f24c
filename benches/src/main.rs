//! `fusebox-benches table [--quick]` prints one table; `cargo xtask bench` calls it. `list` and `one ID CALLS` are for
//! looking at a single case with other tools.

use std::process::ExitCode;

use fusebox_benches::case::Case;
use fusebox_benches::{alloc::Counting, cases, measure, table};

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let _entered = runtime.enter();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let cases = cases();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["table"] => print(&cases, 41),
        ["table", "--quick"] => print(&cases, 5),
        ["list"] => {
            for case in &cases {
                println!("{case:?}");
            }
            ExitCode::SUCCESS
        }
        ["one", id, calls] => one(&cases, id, calls),
        _ => fail("table [--quick] | list | one ID CALLS"),
    }
}

fn one(cases: &[Case], id: &str, calls: &str) -> ExitCode {
    let case = cases.iter().find(|case| case.id() == id);
    let (Some(case), Ok(calls)) = (case, calls.parse()) else {
        return fail(&format!("there is no case {id}, or {calls} is no number"));
    };
    let mut workers = (case.make)(1);
    workers[0](case.warm);
    measure::measured_region(&mut workers[0], calls);
    ExitCode::SUCCESS
}

fn print(cases: &[Case], rounds: usize) -> ExitCode {
    let table = match table::table(cases, rounds) {
        Ok(table) => table,
        Err(error) => return fail(&error),
    };
    println!("{table}");
    let Some(path) = std::env::var_os("FUSEBOX_BENCH_OUT") else {
        return ExitCode::SUCCESS;
    };
    if let Err(error) = std::fs::write(&path, format!("{table}\n")) {
        return fail(&format!("{}: {error}", path.display()));
    }
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    eprintln!("fusebox-benches: {why}");
    ExitCode::from(2)
}
