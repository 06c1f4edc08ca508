//! `cargo xtask fuzz-engines`: the long run of the differential fuzzer.

use crate::place::Place;
use crate::{envoy, run, target};
use anyhow::Result;
use clap::Args;

/// What is to be played.
#[derive(Args)]
pub(crate) struct Plan {
    /// Exchanges to play on both engines.
    #[arg(long, default_value_t = 100_000)]
    exchanges: u64,
    /// The seed of all cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of the first case.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Envoys side by side; they wait more than they work.
    #[arg(long, default_value_t = 12)]
    lanes: u64,
    /// The run ends with so many differences.
    #[arg(long, default_value_t = 1)]
    differences: u64,
}

/// Runs the test of the same name with a longer plan: it is built already where tests have run.
pub(crate) fn run(place: &Place, plan: &Plan) -> Result<()> {
    target::ready(place)?;
    let envoy = envoy::ready(place)?;
    let Plan { exchanges, seed, first, lanes, differences } = plan;
    let setting = format!("{exchanges} {seed} {first} {lanes} {differences}");
    let mut test = place.cargo(&["test", "--workspace", "--test", "fuzz_engines", "--", "--nocapture"]);
    run::show(test.env("TAMIS_ENVOY", envoy).env("TAMIS_FUZZ_ENGINES", setting))
}
