//! `cargo xtask test`: everything that must hold, step by step, each with its time.

use crate::place::Place;
use crate::{envoy, generate, kustomize, mdbook, registry, run, target};
use anyhow::{Context, Result};
use std::time::Instant;

/// The packages that become filters.
const FILTERS: [&str; 3] = ["header-routing", "auth", "rate-limit"];

/// The filter of the conformance tests, built for the target that needs nothing of WASI.
const GUEST: &str = "tamis-guest";

/// Runs all steps; the first that fails ends it.
pub(crate) fn run(place: &Place) -> Result<()> {
    let start = Instant::now();
    let mut real = Vec::new();
    step("setup", || {
        target::ready(place)?;
        real.push(("TAMIS_ENVOY", envoy::ready(place)?));
        real.extend(registry::ready(place)?);
        real.push(kustomize::ready(place)?);
        real.push(("TAMIS_MDBOOK", mdbook::ready(place)?));
        real.push(("TAMIS_CARGO_GENERATE", generate::ready(place)?));
        Ok(())
    })?;
    step("format", || run::show(&mut place.cargo(&["fmt", "--all", "--check"])))?;
    step("filters", || {
        for target in target::TARGETS {
            filters(place, target)?;
        }
        guest(place)
    })?;
    step("clippy", || {
        run::show(&mut place.cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    step("fuzz targets", || {
        // A workspace of its own, with the dependencies that were just checked.
        let mut clippy =
            place.cargo(&["clippy", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]);
        run::show(clippy.arg(&place.target).args(["--", "-D", "warnings"]))
    })?;
    step("doc", || {
        run::show(
            place.cargo(&["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    // Last, so that its closing lines end the log.
    step("tests", || run::show(place.cargo(&["test", "--workspace", "--no-fail-fast"]).envs(real)))?;
    println!("test: all steps passed in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Builds the three filters for one target, as they ship.
pub(crate) fn filters(place: &Place, target: &str) -> Result<()> {
    FILTERS.iter().try_for_each(|package| module(place, package, target))
}

/// The cdylib alone: with an rlib beside it cargo leaves link-time optimisation out.
fn module(place: &Place, package: &str, target: &str) -> Result<()> {
    let rustc = ["rustc", "--quiet", "--lib", "--crate-type", "cdylib", "--profile", target::PROFILE];
    run::show(place.cargo(&rustc).args(["--target", target, "-p", package]))
}

fn guest(place: &Place) -> Result<()> {
    module(place, GUEST, "wasm32-unknown-unknown")
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("test: {name} …");
    let start = Instant::now();
    work().with_context(|| format!("step `{name}` failed"))?;
    println!("test: {name}: {} s", start.elapsed().as_secs());
    Ok(())
}
