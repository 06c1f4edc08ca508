//! A replay against a real Envoy under load, with the same module: the header template as it ships. And what that one
//! adds to a request there, against the same job on the bare crate.
//!
//! All by CPU time, interleaved, since requests per second say as much of the machine as of the proxy. Envoy
//! answers by itself, on one worker; the load generator is `wrk`.

use crate::capture::REQUEST;
use crate::{Guest, Ours, ROUND, median, timed};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::process::Command;
use std::sync::Arc;
use tamis_tests::artifact;
use tamis_tests::envoy::{self, Envoy};

/// Rounds of each side.
const ROUNDS: usize = 11;
/// Length of one round of load, as `wrk` takes it.
const LOAD: &str = "2s";
/// Ticks of `/proc` in a second (`USER_HZ`, the same on all of Linux's usual machines).
const TICKS: f64 = 100.0;

/// The header template as it ships.
pub(crate) fn template() -> Result<Guest> {
    let template = artifact::template()?;
    let wasm = tamis_cli::build::link(&std::fs::read(template.wasm)?)?.wasm;
    let config = std::fs::read(template.config)?;
    Ok(Guest { name: "header template", wasm, config, changes: 2, promised: false })
}

/// Prints all sides and gives the ratio of CPU time: a request's in Envoy to a replayed exchange's.
///
/// What the template adds to a request, and what the same job on the bare crate adds, are printed alone: both are a few
/// microseconds, and on a busy machine their ratio moves from run to run by more than it is worth.
pub(crate) fn compare(guest: &Guest, record: &Arc<[u8]>) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let config = String::from_utf8_lossy(&guest.config);
    let raw = std::fs::read(artifact::raw_header()?)?;
    let mut listeners = Vec::new();
    for (name, wasm) in [("none", None), ("template", Some(&guest.wasm)), ("raw", Some(&raw))] {
        let mut filters = Vec::new();
        if let Some(wasm) = wasm {
            let path = folder.path().join(name).with_extension("wasm");
            std::fs::write(&path, wasm)?;
            filters.push(envoy::filter(name, name, &path, &config, &json!({})));
        }
        let mut listener = envoy::listener(name, &filters, "none");
        listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"] = json!([{
            "match": { "prefix": "/" },
            "direct_response": { "status": 200, "body": { "inline_string": "x".repeat(128) } },
        }]);
        listeners.push(listener);
    }
    let proxy = Envoy::start(&listeners, &[envoy::cluster("none", None)])?;
    let url =
        |name: &str| -> Result<String> { Ok(format!("http://{}/api/v1/items?id=42", proxy.listener(name)?)) };
    let urls = [url("none")?, url("template")?, url("raw")?];
    let mut ours = Ours::new(guest, true)?;
    let mut cpu: [Vec<f64>; 3] = Default::default();
    let (mut replay, mut rates) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each round begins with another side, so that none is always the first on a cold machine.
        for side in (0..3).map(|at| (at + round) % 3) {
            let before = ticks(proxy.pid())?;
            let (requests, rate) = load(&urls[side])?;
            cpu[side].push((ticks(proxy.pid())? - before) / TICKS * 1e9 / requests);
            if side == 1 {
                rates.push(rate);
            }
        }
        replay.push(timed(|| ours.replay(record, ROUND))?);
    }
    let [theirs, replay, rate] = [&cpu[1], &replay, &rates].map(|all| median(all));
    println!(
        "header template: Envoy {theirs:.0} ns of CPU a request ({rate:.0} requests/s), whole replay {replay:.0} ns \
         an exchange: {:.1} times as fast",
        theirs / replay
    );
    // What else runs on the machine only ever adds, so the quiet rounds of each side are compared.
    let [none, template, raw] = cpu.map(|all| quartile(&all));
    let (template, twin) = (template - none, raw - none);
    println!(
        "added CPU in Envoy, lower quartiles: template {template:.0} ns, the same job on the bare crate {twin:.0} ns: \
         {:.2} of it (no filter {none:.0} ns a request)",
        template / twin
    );
    Ok(theirs / replay)
}

/// A quarter of the rounds lie below it.
fn quartile(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all[all.len() / 4]
}

/// One round of load: how many requests, and how many a second.
fn load(url: &str) -> Result<(f64, f64)> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c32", "-d", LOAD]);
    for (name, value) in REQUEST.iter().filter(|(name, _)| !name.starts_with(':')) {
        wrk.args(["-H", &format!("{name}: {value}")]);
    }
    let output =
        wrk.arg(url).output().context("cannot start `wrk`: install Debian's package of this name")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |line: &str, at: usize| line.split_whitespace().nth(at).and_then(|n| n.parse::<f64>().ok());
    let requests = text.lines().find(|l| l.contains(" requests in ")).and_then(|l| number(l, 0));
    let rate = text.lines().find(|l| l.starts_with("Requests/sec:")).and_then(|l| number(l, 1));
    match (requests, rate) {
        (Some(requests), Some(rate)) if requests > 0.0 && !text.contains("Non-2xx") => Ok((requests, rate)),
        _ => bail!("`wrk` did not load Envoy:\n{text}"),
    }
}

/// CPU time of a process so far, in ticks (`proc_pid_stat(5)`, fields 14 and 15).
fn ticks(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no stat of the process")?;
    let field = |at: usize| fields.split(' ').nth(at).and_then(|n| n.parse::<f64>().ok());
    Ok(field(11).context("no utime")? + field(12).context("no stime")?)
}
