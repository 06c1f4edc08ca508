//! The repository as text: which files it has, where they lie.

use std::path::{Path, PathBuf};

/// Root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// All files below `folder` whose names end so, sorted; build output is left out.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|e| e.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All recordings of `tests/captures`, sorted; the other files there are no captures.
///
/// # Panics
/// When there are fewer than there should be.
pub fn captures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/captures")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let other = ["README.md", "test-only-jwks.json", "oddities-client.jsonl.gz"];
    found.retain(|path| !other.iter().any(|name| path.ends_with(name)));
    found.sort();
    assert!(found.len() >= 15, "only {} captures were found", found.len());
    found
}
