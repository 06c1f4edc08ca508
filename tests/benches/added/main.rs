//! What a filter adds to a request in a real Envoy: the header template against the same job on the bare crate.
//! `cargo bench --bench added`, a few minutes.
//!
//! Both are a few microseconds of CPU, as much as a busy machine moves the rest of a request by. So time is that of
//! Envoy's threads alone, as the kernel counts it; each round plays the same number of requests through every side, one
//! side after the other, and what is added is taken against the side without a filter of the same round; the filter is
//! there once, and eight times in a row, where what it adds outweighs the noise; and Envoy is started several times,
//! since two of them differ by more than two rounds do.

#![allow(clippy::print_stdout, reason = "a bench prints its numbers")]

mod load;

use anyhow::{Context, Result, ensure};
use load::Load;
use serde_json::json;
use tamis_tests::artifact;
use tamis_tests::envoy::{self, Envoy};

/// Times that Envoy is started.
const STARTS: usize = 3;
/// Rounds of each start.
const ROUNDS: usize = 15;
/// Requests of one side in a round.
const REQUESTS: usize = 8_000;
/// How often the filter is there in the long chain.
const CHAIN: usize = 8;
/// None, and three modules both once and in the long chain.
const SIDES: usize = 7;
/// The template, the same job on the bare crate, and without any sdk.
const MODULES: [&str; 3] = ["template", "raw", "floor"];
/// Most that the template may add, as a part of what the same job on the bare crate adds.
const MOST: f64 = 0.9;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let template = artifact::template()?;
    let config = std::fs::read_to_string(template.config)?;
    let template = tamis_cli::build::link(&std::fs::read(template.wasm)?)?.wasm;
    let raw = std::fs::read(artifact::raw_header()?)?;
    let mut listeners = vec![listener("none", &[])];
    for (name, wasm) in
        [("template", template), ("raw", raw), ("floor", wat::parse_str(include_str!("floor.wat"))?)]
    {
        let path = folder.path().join(name).with_extension("wasm");
        std::fs::write(&path, wasm)?;
        for count in [1, CHAIN] {
            let one = |at: usize| envoy::filter(&format!("{name}-{at}"), name, &path, &config, &json!({}));
            listeners.push(listener(&format!("{name}-{count}"), &(0..count).map(one).collect::<Vec<_>>()));
        }
    }
    // What each side adds: each module once and in the chain.
    let mut added: [Vec<f64>; SIDES - 1] = Default::default();
    let mut plain = Vec::new();
    for _ in 0..STARTS {
        let proxy = Envoy::start(&listeners, &[envoy::cluster("none", None)])?;
        let mut sides = Vec::new();
        sides.push(Load::connect(proxy.listener("none")?)?);
        for name in MODULES {
            for count in [1, CHAIN] {
                sides.push(Load::connect(proxy.listener(&format!("{name}-{count}"))?)?);
            }
        }
        for round in 0..=ROUNDS {
            let mut cost = [0.0; SIDES];
            // Each round begins with another side.
            for side in (0..SIDES).map(|at| (at + round) % SIDES) {
                let before = cpu(proxy.pid())?;
                sides[side].send(REQUESTS)?;
                cost[side] = (cpu(proxy.pid())? - before) / REQUESTS as f64;
            }
            // The first one warms up.
            let [none, with @ ..] = cost;
            if round > 0 {
                plain.push(none);
                added.iter_mut().zip(with).for_each(|(all, with)| all.push(with - none));
            }
        }
    }
    println!("no filter: {} of CPU a request, medians and quartiles", spread(&plain));
    for (side, added) in added.iter().enumerate() {
        println!("{} x {}: {} added", MODULES[side / 2], [1, CHAIN][side % 2], spread(added));
    }
    let [one, chain, raw, raw_chain, floor, floor_chain] = added.each_ref().map(|all| quartile(all, 2));
    let ratio = chain / raw_chain;
    println!("template by raw: one filter {:.2}, each of {CHAIN} {ratio:.2}", one / raw);
    println!("floor by raw: one filter {:.2}, each of {CHAIN} {:.2}", floor / raw, floor_chain / raw_chain);
    ensure!(ratio <= MOST, "the template adds more than {MOST} of what the bare crate adds");
    Ok(())
}

/// A listener that answers by itself behind these filters.
fn listener(name: &str, filters: &[serde_json::Value]) -> serde_json::Value {
    let mut listener = envoy::listener(name, filters, "none");
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["stream_idle_timeout"] = json!("0s");
    manager["route_config"]["virtual_hosts"][0]["routes"] = json!([{
        "match": { "prefix": "/" },
        "direct_response": { "status": 200, "body": { "inline_string": "x".repeat(128) } },
    }]);
    listener
}

/// CPU time of a process so far, nanoseconds: the sum over its threads (`sched-stats` of the kernel's documentation,
/// first field of `schedstat`).
fn cpu(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let time = stat.split(' ').next().and_then(|n| n.parse::<f64>().ok());
        sum += time.context("the kernel does not count CPU time by thread")?;
    }
    Ok(sum)
}

/// So many quarters of the rounds lie below it.
fn quartile(all: &[f64], quarters: usize) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all[(all.len() - 1) * quarters / 4]
}

fn spread(all: &[f64]) -> String {
    let [low, median, high] = [1, 2, 3].map(|quarters| quartile(all, quarters));
    format!("{median:.0} ns ({low:.0} to {high:.0})")
}
