//! What a filter costs for each exchange, and that linking changes nothing else (docs/decisions/0004-own-dispatcher.md).
//!
//! Fuel is exact: the same module costs the same in every run. The ceilings lie a little above what was measured, so
//! that another compiler release passes and a slip of the sdk does not.

use anyhow::{Result, ensure};
use tamis_cli::build::link;
use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_tests::artifact::{self, WASI};
use tamis_tests::tree;
use tamis_traffic::{Exchange, Playback, read};

/// A filter, its configuration from the root of the repository (a template has its own), and the fuel of an exchange that it may cost on the
/// Online Boutique capture when it is linked.
struct Row {
    name: &'static str,
    config: &'static str,
    ceiling: u64,
}

const ROWS: [Row; 4] = [
    // Measured 856.
    Row { name: "header", config: "", ceiling: 875 },
    // Measured 7,827, most of it a copy of the headers, and the expression once for each session.
    Row { name: "header-routing", config: "cli/demo/header-routing.json", ceiling: 8_050 },
    // Measured 9,743, with the verification of a token once and its cache afterwards.
    Row { name: "auth", config: "cli/demo/auth.json", ceiling: 10_050 },
    // Measured 7,182: up to four slots of shared data are read.
    Row { name: "rate-limit", config: "cli/demo/rate-limit.json", ceiling: 7_400 },
];

/// Part of the bytes of the same job on the bare crate that the linked template may have. Measured 0.442 of 173,340.
const SIZE_OF_RAW: f64 = 0.45;
/// Part of its fuel. Measured 0.449 of 1905.
const FUEL_OF_RAW: f64 = 0.46;

#[test]
#[allow(clippy::print_stdout, reason = "what each costs")]
fn linked_filters_do_the_same_for_less() -> Result<()> {
    for row in &ROWS {
        let (plain, config) = match row.config {
            "" => artifact::template().map(|template| (template.wasm, template.config))?,
            config => (artifact::unlinked(row.name, WASI)?, tree::root().join(config)),
        };
        let plain = std::fs::read(plain)?;
        let linked = link(&plain)?;
        ensure!(linked == link(&plain)?, "{}: linked twice, and it differs", row.name);
        let linked = linked.wasm;
        let config = std::fs::read(config)?;
        let [before, fuel] = play_both(row.name, [&plain, &linked], &config)?;
        println!("{}: {fuel} fuel an exchange, {before} before it is linked", row.name);
        assert!(fuel < before, "{}: linking saves nothing", row.name);
        assert!(fuel <= row.ceiling, "{} costs {fuel} fuel an exchange, more than {}", row.name, row.ceiling);
    }
    Ok(())
}

#[test]
#[allow(clippy::print_stdout, reason = "how far the promise is kept")]
fn the_template_costs_less_than_its_twin_on_the_bare_crate() -> Result<()> {
    let raw = std::fs::read(artifact::raw_header()?)?;
    let template = artifact::template()?;
    let (linked, config) = (link(&std::fs::read(template.wasm)?)?.wasm, std::fs::read(template.config)?);
    let fuel = play_both("header", [&raw, &linked], &config)?;
    let part = |[raw, linked]: [usize; 2]| linked as f64 / raw as f64;
    let (bytes, cost) = (part([raw.len(), linked.len()]), part(fuel.map(|fuel| fuel as usize)));
    let said = format!(
        "the template has {} bytes, {bytes:.3} of the raw {}; {} fuel, {cost:.3} of the raw {}",
        linked.len(),
        raw.len(),
        fuel[1],
        fuel[0]
    );
    println!("{said}");
    assert!(bytes <= SIZE_OF_RAW && cost <= FUEL_OF_RAW, "{said}");
    Ok(())
}

/// Plays the capture through both modules, holds the playbacks against each other, and gives their fuel for an exchange.
fn play_both(name: &str, modules: [&[u8]; 2], config: &[u8]) -> Result<[u64; 2]> {
    let engine = Engine::new(&EngineOptions { count_fuel: true, cache: None })?;
    let stage = |wasm: &[u8]| -> Result<Stage> {
        let mut filter = FilterSpec::new(name, Module::load(&engine, wasm)?);
        filter.config = config.to_vec();
        Ok(Stage::builder(&engine).filter(filter).build()?)
    };
    let [one, other] = modules;
    let mut stages = [stage(one)?, stage(other)?];
    let capture = std::fs::File::open(tree::root().join("tests/captures/boutique.pb_length_delimited.gz"))?;
    let mut reader = read::from_reader(capture, &read::ReadOptions::default())?;
    let (mut exchange, mut count, mut fuel) = (Exchange::default(), 0, [0, 0]);
    let mut playbacks = [Playback::default(), Playback::default()];
    while reader.next(&mut exchange)? {
        count += 1;
        for ((stage, playback), fuel) in stages.iter_mut().zip(&mut playbacks).zip(&mut fuel) {
            stage.play(&exchange, playback);
            ensure!(playback.faults.is_empty(), "{name}: {:?}", playback.faults);
            for filter in &mut playback.filters {
                *fuel += filter.cost.fuel;
                filter.cost.fuel = 0;
                filter.cost.memory_grown = 0;
            }
        }
        let [one, other] = playbacks.each_ref().map(|playback| format!("{playback:?}"));
        assert_eq!(one, other, "{name}: exchange {count}");
    }
    ensure!(count > 1000, "{name}: {count} exchanges were read");
    Ok(fuel.map(|fuel| fuel / count))
}
