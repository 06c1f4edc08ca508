//! cargo-generate: the one named, the one on the path, or one that cargo builds.

use crate::place::{Place, cargo};
use crate::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that the templates are tried with: one that builds with the compiler of `rust-version`.
const VERSION: &str = "0.23.7";

/// Finds or builds it; gives its path, which goes to the tests as `TAMIS_CARGO_GENERATE`.
pub(crate) fn ready(place: &Place) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TAMIS_CARGO_GENERATE") {
        let named = PathBuf::from(named);
        let version = version(&named).context("`TAMIS_CARGO_GENERATE` does not work")?;
        println!("setup: cargo-generate: {version} (named by `TAMIS_CARGO_GENERATE`)");
        return Ok(named);
    }
    let root = place.tools().join("cargo-generate");
    let own = root.join("bin/cargo-generate");
    for binary in [PathBuf::from("cargo-generate"), own.clone()] {
        if version(&binary).is_ok_and(|v| v == VERSION) {
            println!("setup: cargo-generate: {VERSION} ({})", binary.display());
            return Ok(binary);
        }
    }
    println!("setup: cargo-generate: building {VERSION}");
    // Unoptimised: a template is a dozen small files.
    run::show(
        Command::new(cargo())
            .args(["install", "--quiet", "--locked", "--debug", "--root"])
            .arg(&root)
            .arg(format!("cargo-generate@{VERSION}"))
            .env("CARGO_PROFILE_DEV_DEBUG", "false"),
    )
    .context("cannot build cargo-generate; name one of your own with `TAMIS_CARGO_GENERATE`")?;
    Ok(own)
}

/// `cargo generate-generate 0.26.0`, or with another first word.
fn version(binary: &Path) -> Result<String> {
    let said = run::read(Command::new(binary).args(["generate", "--version"]))?;
    let version = said.split_whitespace().last().map(str::to_owned);
    version.context("`cargo generate --version` names no version")
}
