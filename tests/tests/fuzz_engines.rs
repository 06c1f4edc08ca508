//! The differential fuzzer: a short run with fixed seeds each time, a long one by `cargo xtask fuzz-engines`.

use anyhow::{Context, Result};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tamis_tests::artifact::{self, PLAIN};
use tamis_tests::fuzz::{Plan, Totals, run};

/// The seeds of the short run. Nothing else decides what it plays.
const SEEDS: [u64; 3] = [1, 2, 4];

/// Exchanges for each seed: some seconds of Envoy on a busy machine.
const EXCHANGES: u64 = 1_000;

/// Envoys side by side; each takes a second to start.
const LANES: usize = 4;

/// The most cases of a hundred that may go without Envoy since our host reports a finding: more would hide what
/// Envoy does.
const FOUND: u64 = 8;

/// The setting of a long run: `EXCHANGES SEED FIRST LANES DIFFERENCES`.
const SETTING: &str = "TAMIS_FUZZ_ENGINES";

#[test]
fn both_engines_play_random_scripts_alike() -> Result<()> {
    let guest = artifact::module("tamis-guest", PLAIN)?;
    let plan = |seed, exchanges| Plan { seed, first: 0, exchanges, lanes: LANES, differences: 1 };
    let plans = match std::env::var(SETTING) {
        Err(_) => SEEDS.map(|seed| plan(seed, EXCHANGES)).to_vec(),
        Ok(setting) => vec![long(&setting)?],
    };
    for plan in plans {
        let start = Instant::now();
        let (shown, shown_fast) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let totals = run(&plan, &guest, &|totals| {
            let before = shown.swap(totals.differences.len(), Ordering::Relaxed);
            totals.differences.iter().skip(before).for_each(|d| say(&d.to_string()));
            let before = shown_fast.swap(totals.only_fast.len(), Ordering::Relaxed);
            totals.only_fast.iter().skip(before).for_each(|d| say(&format!("only when played fast, {d}")));
            say(&progress(totals, start));
        })?;
        say(&format!("seed {}: {}", plan.seed, progress(&totals, start)));
        let numbers: Vec<u64> = totals.differences.iter().map(|d| d.number).collect();
        assert!(
            numbers.is_empty(),
            "the engines differ in cases {numbers:?} of seed {}, see above",
            plan.seed
        );
        let found: u64 = totals.found.values().sum();
        assert!(found * 100 <= (totals.cases + found) * FOUND, "too many findings: {:?}", totals.found);
    }
    Ok(())
}

/// The plan of a long run.
fn long(setting: &str) -> Result<Plan> {
    let number = |word: &str| word.parse().with_context(|| format!("{SETTING}: `{word}` is no number"));
    let numbers: Vec<u64> = setting.split_whitespace().map(number).collect::<Result<_>>()?;
    let [exchanges, seed, first, lanes, differences] = numbers[..] else {
        anyhow::bail!("{SETTING} takes five numbers")
    };
    Ok(Plan { seed, first, exchanges, lanes: lanes as usize, differences: differences as usize })
}

/// Past the test's capture: a long run is watched.
fn say(line: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn progress(totals: &Totals, start: Instant) -> String {
    let seconds = start.elapsed().as_secs_f64().max(0.001);
    let found: u64 = totals.found.values().sum();
    format!(
        "{} executions, {} of them on both engines in {} cases, {seconds:.0} s, {:.0}/s; {} differences, {:.1} in 100000: {:?}; \
        only when played fast: {:?}; {found} cases with a finding {:?}",
        totals.executions(),
        totals.exchanges,
        totals.cases,
        totals.exchanges as f64 / seconds,
        totals.differences.len(),
        totals.rate(),
        totals.causes,
        totals.only_fast.iter().map(|d| d.number).collect::<Vec<_>>(),
        totals.found,
    )
}
