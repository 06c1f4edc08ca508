//! What the doctor looks at.

use super::{Finding, Fix, Level, Probe};
use crate::build::{TARGET, packages, target_installed};
use crate::failure::Code;
use crate::plan::cache_folder;
use std::path::Path;
use std::process::Command;
use tamis_referee::find;

/// The oldest compiler that builds filters: the sdk is edition 2024 with async closures of 1.85 and says 1.95.
const OLDEST: (u32, u32) = (1, 95);

pub(super) fn all() -> Vec<Box<dyn Probe>> {
    vec![Box::new(Toolchain), Box::new(Target), Box::new(Manifest), Box::new(Envoy), Box::new(Cache)]
}

fn finding(code: &'static str, level: Level, text: impl Into<String>) -> Vec<Finding> {
    vec![Finding { code, level, text: text.into(), fix: None }]
}

struct Toolchain;

impl Probe for Toolchain {
    fn look(&self) -> Vec<Finding> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let Ok(output) = Command::new(rustc).arg("--version").output() else {
            return finding("toolchain", Level::Bad, "no `rustc`; install Rust from https://rustup.rs");
        };
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match version(&text) {
            Some(version) if version >= OLDEST => finding("toolchain", Level::Fine, text),
            Some(_) => {
                finding("toolchain", Level::Bad, format!("{text}; filters need {}.{}", OLDEST.0, OLDEST.1))
            }
            None => finding("toolchain", Level::Bad, format!("`rustc --version` says `{text}`")),
        }
    }
}

/// The first two numbers of `rustc 1.95.0 (…)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

struct Target;

impl Probe for Target {
    fn look(&self) -> Vec<Finding> {
        if target_installed(TARGET) {
            return finding("target", Level::Fine, format!("{TARGET} is installed"));
        }
        vec![Finding {
            code: "target",
            level: Level::Bad,
            text: format!(
                "{TARGET} is not installed; in a clone of tamis `cargo xtask setup` can also build it"
            ),
            fix: Some(Fix { program: "rustup", args: ["target", "add", TARGET].map(Into::into).to_vec() }),
        }]
    }
}

struct Manifest;

impl Probe for Manifest {
    fn look(&self) -> Vec<Finding> {
        if !Path::new("Cargo.toml").exists() {
            return finding("package", Level::Note, "no package in this folder; `tamis new NAME` makes one");
        }
        match packages(Path::new("."), &[]) {
            Ok(found) => {
                let names: Vec<_> = found.iter().map(|p| p.name.as_str()).collect();
                let mut findings =
                    finding("package", Level::Fine, format!("filter packages: {}", names.join(", ")));
                for package in &found {
                    if let Some(config) = &package.settings.config
                        && !package.folder.join(config).is_file()
                    {
                        let text =
                            format!("`{}` names `{}`, which is not there", package.name, config.display());
                        findings.extend(finding("config", Level::Bad, text));
                    }
                }
                findings
            }
            Err(failure) => {
                let level = if failure.code == Code::NoPackage { Level::Note } else { Level::Bad };
                let causes = failure.causes();
                let cause = causes.first().map(|c| format!(": {}", c.lines().next().unwrap_or_default()));
                finding("package", level, format!("{}{}", failure.headline(), cause.unwrap_or_default()))
            }
        }
    }
}

struct Envoy;

impl Probe for Envoy {
    fn look(&self) -> Vec<Finding> {
        let Ok(path) = find::binary() else {
            let text = "no Envoy was found; only `--engine envoy` and `--engine both` need one";
            return finding("envoy", Level::Note, text);
        };
        match find::version(&path) {
            Some(version) => finding("envoy", Level::Fine, format!("{version}, in `{}`", path.display())),
            None => finding("envoy", Level::Bad, format!("`{}` is no Envoy that runs", path.display())),
        }
    }
}

struct Cache;

impl Probe for Cache {
    fn look(&self) -> Vec<Finding> {
        match cache_folder() {
            Some(folder) => {
                finding("cache", Level::Fine, format!("compiled filters are kept in `{}`", folder.display()))
            }
            None => {
                finding("cache", Level::Note, "compiled filters are not kept; `TAMIS_CACHE` names a folder")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_rustc() {
        assert_eq!(version("rustc 1.95.0 (abc 2026-01-01)"), Some((1, 95)));
        assert_eq!(version("rustc 1.100.0-nightly"), Some((1, 100)));
        assert_eq!(version("nonsense"), None);
        for (text, enough) in [("rustc 1.94.9", false), ("rustc 1.100.0", true), ("rustc 2.0.0", true)] {
            assert_eq!(version(text) >= Some(OLDEST), enough, "{text}");
        }
    }
}
