//! Files of a folder that may be there already, by an earlier run or by somebody else.

use crate::failure::{Code, Failure, Result};
use std::path::Path;

/// Writes what is not there yet; gives how many files that were. Nothing is written when one of them has something
/// else in it.
pub(super) fn write(folder: &Path, files: &[(&str, String)], overwrite: bool) -> Result<usize> {
    let mut missing = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(old) if old == text.as_bytes() => {}
            Ok(_) if !overwrite => {
                let text = format!("`{}` has something else in it", path.display());
                return Err(
                    Failure::new(Code::Usage, text).hint("name another folder, or give `--overwrite`")
                );
            }
            _ => missing.push((path, text)),
        }
    }
    for (path, text) in &missing {
        let above = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(above).and_then(|()| std::fs::write(path, text)).map_err(|e| {
            Failure::because(Code::CannotWrite, format!("cannot write `{}`", path.display()), e)
        })?;
    }
    Ok(missing.len())
}
