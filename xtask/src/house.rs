//! What is in the workspace.

use std::path::{Path, PathBuf};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(target)
}

/// The names of the published crates, sorted.
pub(crate) fn crates() -> Result<Vec<String>, String> {
    let folder = root().join("crates");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Whether a published crate has the file.
pub(crate) fn has(name: &str, file: &str) -> bool {
    root().join("crates").join(name).join(file).is_file()
}

/// Whether the words occur in a test of the workspace: what tells which programs the tests want.
pub(crate) fn tests_mention(words: &str) -> bool {
    let of_crates = crates()
        .unwrap_or_default()
        .into_iter()
        .map(|name| format!("crates/{name}/tests"));
    of_crates
        .chain(["tests".into(), "examples".into()])
        .any(|folder| mentioned(&root().join(folder), words))
}

fn mentioned(folder: &Path, words: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return mentioned(&path, words);
        }
        path.extension().is_some_and(|extension| extension == "rs")
            && std::fs::read_to_string(&path).is_ok_and(|text| text.contains(words))
    })
}
