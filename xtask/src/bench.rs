//! `cargo xtask bench`: the numbers that the project promises.

use crate::place::Place;
use crate::{envoy, run, target, test};
use anyhow::Result;

/// Runs the benches of the tests package, in release, with the filters and Envoy ready.
pub(crate) fn run(place: &Place) -> Result<()> {
    target::ready(place)?;
    let envoy = envoy::ready(place)?;
    test::filters(place, target::DEFAULT)?;
    run::show(place.cargo(&["bench", "-p", "tamis-tests"]).env("TAMIS_ENVOY", envoy))
}
