//! How a filter is built when its lines are to be counted.

use std::path::Path;

/// The cargo profile; it is made up on the command line, so that no manifest needs it.
pub(super) const PROFILE: &str = "tamis-coverage";

/// Arguments that make the profile up from another one.
///
/// The filter's own code is not optimised: else lines move together and vanish, and what is counted is not what was
/// written. What it depends on stays fast. Overflow checks and assertions stay as the other profile has them.
pub(super) fn arguments(package: &str, base: &str) -> Vec<String> {
    let settings = [
        format!("inherits={base:?}"),
        "debug=1".to_owned(),
        "strip=false".to_owned(),
        "lto=\"off\"".to_owned(),
        "panic=\"abort\"".to_owned(),
        format!("package.{package:?}.opt-level=0"),
    ];
    let config = |s: &String| ["--config".to_owned(), format!("profile.{PROFILE}.{s}")];
    let profile = ["--profile".to_owned(), PROFILE.to_owned()];
    settings.iter().flat_map(config).chain(profile).collect()
}

/// Whether a source file belongs to the package in this folder: below it, and not to a package of its own there
/// (as what is in `vendor/`).
pub(crate) fn is_own(file: &Path, folder: &Path) -> bool {
    let package = file
        .ancestors()
        .skip(1)
        .take_while(|f| f.starts_with(folder))
        .find(|f| f.join("Cargo.toml").is_file());
    package.is_some_and(|package| package == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_vendored_is_not_the_packages_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("vendor/sdk/src")).unwrap();
        std::fs::write(path("Cargo.toml"), "").unwrap();
        std::fs::write(path("vendor/sdk/Cargo.toml"), "").unwrap();
        assert!(is_own(&path("src/lib.rs"), folder.path()));
        assert!(!is_own(&path("vendor/sdk/src/lib.rs"), folder.path()));
        assert!(!is_own(&folder.path().with_file_name("other/src/lib.rs"), folder.path()));
        assert!(is_own(&path("vendor/sdk/src/lib.rs"), &path("vendor/sdk")));
    }
}
