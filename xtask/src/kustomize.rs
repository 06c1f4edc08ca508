//! Kustomize, to judge the folders that are written for it: the one named, the one on the path, or Debian's, unpacked
//! into a folder of ours.

use crate::apt::Apt;
use crate::place::Place;
use crate::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names it for the tests.
const VARIABLE: &str = "TAMIS_KUSTOMIZE";

/// Any release that knows `patches` with a path.
const VERSION: &str = "5";

/// Finds or unpacks it; gives the variable with the path for it.
pub(crate) fn ready(place: &Place) -> Result<(&'static str, PathBuf)> {
    let works = |path: &Path| run::read(Command::new(path).arg("version"));
    let folder = place.tools().join("kustomize");
    let own = folder.join("usr/bin/kustomize");
    let path = if let Some(named) = std::env::var_os(VARIABLE) {
        let named = PathBuf::from(named);
        works(&named).with_context(|| format!("`{VARIABLE}` does not work"))?;
        named
    } else if works(Path::new("kustomize")).is_ok() {
        PathBuf::from("kustomize")
    } else {
        if works(&own).is_err() {
            unpack(&folder).with_context(|| {
                format!("cannot install kustomize; name one of your own with `{VARIABLE}`")
            })?;
            works(&own)?;
        }
        own
    };
    println!("setup: kustomize: {}", path.display());
    Ok((VARIABLE, path))
}

fn unpack(folder: &Path) -> Result<()> {
    let (apt, version) = Apt::with(&folder.join("apt"), "kustomize", VERSION)?;
    apt.unpack(&format!("kustomize={version}"), folder)
}
