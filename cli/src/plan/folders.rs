//! Folders that outlive a run.

use std::path::PathBuf;

/// Where compiled filters are kept between runs: `TAMIS_CACHE`, else the user's cache folder. None when
/// there is neither, or `TAMIS_CACHE` is empty; then every run compiles anew.
pub fn cache_folder() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if std::env::var_os("TAMIS_CACHE").is_some() {
        return var("TAMIS_CACHE");
    }
    let base = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Caches"))
    } else {
        var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("tamis"))
}
