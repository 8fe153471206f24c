//! The table that is printed.

use std::fmt::Write;

use crate::case::Case;
use crate::{instructions, measure};

const PEERS: [&str; 5] = [
    "tower",
    "tower-resilience-circuitbreaker",
    "tower-resilience-bulkhead",
    "recloser",
    "failsafe",
];

/// Measures everything and writes it down.
///
/// # Errors
///
/// What went wrong with valgrind.
pub fn table(cases: &[Case], rounds: usize) -> Result<String, String> {
    eprintln!("counting instructions of {} cases", cases.len());
    let instructions: Vec<f64> = cases.iter().map(instructions::count).collect::<Result<_, _>>()?;
    let allocations: Vec<f64> = cases.iter().map(measure::allocations).collect();
    eprintln!("{rounds} rounds of times");
    let times = measure::times(cases, rounds);

    let bare = times.first().and_then(|times| times[0]);
    let mut table = String::from(
        "| case | load | 1 thread, ns | x bare | 2 threads, ns | instructions | allocations |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    for (at, case) in cases.iter().enumerate() {
        let [one, two] = times[at];
        let ratio = one.zip(bare).map(|(one, bare)| one / bare);
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {:.0} | {} |",
            case.name,
            case.load,
            figure(one),
            figure(ratio),
            figure(two),
            instructions[at],
            (allocations[at] * 100.0).round() / 100.0,
        );
    }
    let _ = write!(
        table,
        "\nMedians of {rounds} rounds on {} processors; 2 threads share one stack, and the figure is what a call takes each. {}.",
        std::thread::available_parallelism().map_or(1, usize::from),
        versions(include_str!("../../Cargo.lock")),
    );
    Ok(table)
}

fn figure(of: Option<f64>) -> String {
    match of {
        None => "disturbed".into(),
        Some(of) if of < 10.0 => format!("{of:.1}"),
        Some(of) => format!("{of:.0}"),
    }
}

fn versions(lock: &str) -> String {
    let version = |peer: &str| {
        let entry = lock
            .split("[[package]]")
            .find(|entry| entry.contains(&format!("name = \"{peer}\"\n")))?;
        let line = entry.lines().find_map(|line| line.strip_prefix("version = "))?;
        Some(format!("{peer} {}", line.trim_matches('"')))
    };
    PEERS
        .iter()
        .filter_map(|peer| version(peer))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_version_of_every_peer() {
        let versions = versions(include_str!("../../Cargo.lock"));
        for peer in PEERS {
            assert!(
                versions.contains(&format!("{peer} ")),
                "{peer} is missing in: {versions}"
            );
        }
    }
}
