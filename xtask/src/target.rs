//! The wasm targets: by rustup where it can download, else built from Debian's sources of the same version.

use crate::place::Place;
use crate::{run, sysroot};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Duration;

/// The two targets that filters are built for.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-wasip1", "wasm32-unknown-unknown"];

/// The profile of filters in the workspace's manifest, and the folder of what it builds.
pub(crate) const PROFILE: &str = "filter";

/// What filters are built for unless told otherwise.
pub(crate) const DEFAULT: &str = "wasm32-wasip1";

/// A mirror that cannot be reached says so at once; one that hangs is given up.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// Uses std, the allocator and (on WASI) libc, so that a half-copied target does not pass.
const PROBE: &str = "#[unsafe(no_mangle)]
pub extern \"C\" fn probe() -> usize {
    format!(\"{:?}\", std::env::args().collect::<Vec<_>>()).len()
}
";

/// Makes both targets ready; what works already is left alone.
pub(crate) fn ready(place: &Place) -> Result<()> {
    let missing: Vec<&str> = TARGETS.into_iter().filter(|t| probe(place, t).is_err()).collect();
    for target in TARGETS {
        if !missing.contains(&target) {
            println!("setup: target {target}: ready");
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: target {}: missing, trying `rustup target add`", missing.join(", "));
    if run::works(Command::new("rustup").args(["target", "add"]).args(&missing), RUSTUP_LIMIT)
        && missing.iter().all(|t| probe(place, t).is_ok())
    {
        println!("setup: target {}: added by rustup", missing.join(", "));
        return Ok(());
    }
    println!("setup: rustup could not; building the targets from Debian's rust-src instead");
    sysroot::build(place, &missing)?;
    for target in missing {
        probe(place, target).with_context(|| format!("target {target} was built but does not work"))?;
        println!("setup: target {target}: built into the sysroot");
    }
    Ok(())
}

/// Compiles a small library for the target, with and without link-time optimisation, as filters are.
fn probe(place: &Place, target: &str) -> Result<()> {
    let folder = place.tools().join("probe");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let source = folder.join("probe.rs");
    std::fs::write(&source, PROBE).with_context(|| format!("cannot write {}", source.display()))?;
    for lto in ["off", "fat"] {
        let out = folder.join(format!("{target}-{lto}.wasm"));
        run::read(
            Command::new(rustc())
                .args(["--crate-type", "cdylib", "--edition", "2024", "-O", "--target", target])
                .arg(format!("-Clto={lto}"))
                .arg("-o")
                .args([&out, &source]),
        )?;
        // The libc of the later WASI links without complaint and makes modules that no proxy loads.
        let wasm = std::fs::read(&out).with_context(|| format!("cannot read {}", out.display()))?;
        if wasm.windows(9).any(|w| w == b"wasi:cli/") {
            bail!("the libc of target {target} is the one of WASI 0.2");
        }
    }
    Ok(())
}

/// The compiler that cargo uses.
pub(crate) fn rustc() -> String {
    std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into())
}
