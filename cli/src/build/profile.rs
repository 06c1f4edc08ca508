//! The release profile for filters: small and fast, unless the package says otherwise.

use std::path::Path;

/// Key of `[profile.release]`, cargo's variable for it, our value, and why.
const WANTED: &[(&str, &str, &str)] = &[
    // Fuel and time are what a filter costs each request.
    ("opt-level", "CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    // Drops what the sdk has and the filter does not use.
    ("lto", "CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("codegen-units", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    // A panic traps in any case; unwinding only adds code.
    ("panic", "CARGO_PROFILE_RELEASE_PANIC", "abort"),
];

/// Variables for cargo: what neither the manifest of the workspace nor the environment sets already.
pub(super) fn variables(workspace_root: &Path) -> Vec<(&'static str, &'static str)> {
    let manifest = std::fs::read_to_string(workspace_root.join("Cargo.toml")).unwrap_or_default();
    missing(&manifest).filter(|(name, _)| std::env::var_os(name).is_none()).collect()
}

/// True when the manifest says of this profile that names stay.
pub(super) fn keeps_names(workspace_root: &Path, profile: &str) -> bool {
    let manifest = std::fs::read_to_string(workspace_root.join("Cargo.toml")).unwrap_or_default();
    says_keep(&manifest, profile)
}

fn says_keep(manifest: &str, profile: &str) -> bool {
    let table: toml::Table = manifest.parse().unwrap_or_default();
    let strip = table.get("profile").and_then(|p| p.get(profile)).and_then(|p| p.get("strip"));
    strip.is_some_and(|s| s.as_bool() == Some(false) || matches!(s.as_str(), Some("none" | "debuginfo")))
}

fn missing(manifest: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    // A manifest that cannot be read is cargo's to complain about.
    let table: toml::Table = manifest.parse().unwrap_or_default();
    let release = table.get("profile").and_then(|p| p.get("release")).cloned();
    WANTED
        .iter()
        .filter(move |(key, _, _)| release.as_ref().and_then(|r| r.get(key)).is_none())
        .map(|(_, variable, value)| (*variable, *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_package_says_is_left_alone() {
        let names: Vec<_> = missing("[profile.release]\nopt-level = \"s\"\n").map(|(n, _)| n).collect();
        assert_eq!(
            names,
            [
                "CARGO_PROFILE_RELEASE_LTO",
                "CARGO_PROFILE_RELEASE_CODEGEN_UNITS",
                "CARGO_PROFILE_RELEASE_PANIC"
            ]
        );
        assert_eq!(missing("").count(), WANTED.len());
    }

    #[test]
    fn names_stay_only_when_the_package_says_so() {
        for (strip, keeps) in
            [("false", true), ("'none'", true), ("'debuginfo'", true), ("true", false), ("'symbols'", false)]
        {
            let manifest = format!("[profile.release]\nstrip = {strip}\n");
            assert_eq!(says_keep(&manifest, "release"), keeps, "{strip}");
            assert!(!says_keep(&manifest, "other"));
        }
        assert!(!says_keep("", "release") && !says_keep("no manifest", "release"));
    }
}
