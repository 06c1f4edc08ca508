//! Finds traffic tests.

use crate::failure::{Code, Failure, Result};
use std::path::{Path, PathBuf};

/// The `.yaml` files that are named, and those directly in folders that are named, by name. What lies deeper
/// (captures, configurations) is no test.
pub(super) fn tests(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_file() {
            found.push(path.clone());
            continue;
        }
        let unreadable =
            |e| Failure::because(Code::NoSuchFile, format!("cannot read `{}`", path.display()), e);
        let begin = found.len();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.is_file() && is_yaml(&file) {
                found.push(file);
            }
        }
        found[begin..].sort();
    }
    Ok(found)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}
