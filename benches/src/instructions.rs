//! Instructions, counted by callgrind.

use std::process::Command;

use crate::case::Case;

/// Instructions a call: the difference between 2n and n calls, each in a process of its own that runs this program as
/// `one ID CALLS`.
///
/// # Errors
///
/// What valgrind said, or that it could not be started.
pub fn count(case: &Case) -> Result<f64, String> {
    let calls = case.calls.unwrap_or(1000);
    Ok((collected(case, 2 * calls)? - collected(case, calls)?) / calls as f64)
}

fn collected(case: &Case, calls: u64) -> Result<f64, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program has no path: {error}"))?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*measured_region*",
        ])
        .arg("--callgrind-out-file=/dev/null")
        .arg(this)
        .args(["one", &case.id(), &calls.to_string()])
        .output()
        .map_err(|error| format!("valgrind, which counts instructions: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let figure = said.lines().find_map(|line| line.split_once("Collected :"));
    figure
        .and_then(|(_, figure)| figure.trim().parse().ok())
        .filter(|collected| output.status.success() && *collected > 0.0)
        .ok_or_else(|| format!("valgrind counted nothing for {case:?}:\n{said}"))
}
