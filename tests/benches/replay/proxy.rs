//! A replay against a real Envoy under load, with the same module: the header template as it ships.
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

/// Prints both sides and gives the ratio of CPU time: a request's in Envoy to a replayed exchange's. What the filter adds
/// to a request is measured by the bench `added`.
pub(crate) fn compare(guest: &Guest, record: &Arc<[u8]>) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let config = String::from_utf8_lossy(&guest.config);
    let path = folder.path().join("template.wasm");
    std::fs::write(&path, &guest.wasm)?;
    let filter = envoy::filter("template", "template", &path, &config, &json!({}));
    let mut listener = envoy::listener("template", &[filter], "none");
    listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"] = json!([{
        "match": { "prefix": "/" },
        "direct_response": { "status": 200, "body": { "inline_string": "x".repeat(128) } },
    }]);
    let proxy = Envoy::start(&[listener], &[envoy::cluster("none", None)])?;
    let url = format!("http://{}/api/v1/items?id=42", proxy.listener("template")?);
    let mut ours = Ours::new(guest, true)?;
    let (mut cpu, mut replay, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = ticks(proxy.pid())?;
        let (requests, rate) = load(&url)?;
        cpu.push((ticks(proxy.pid())? - before) / TICKS * 1e9 / requests);
        rates.push(rate);
        replay.push(timed(|| ours.replay(record, ROUND))?);
    }
    let [theirs, replay, rate] = [&cpu, &replay, &rates].map(|all| median(all));
    println!(
        "header template: Envoy {theirs:.0} ns of CPU a request ({rate:.0} requests/s), whole replay {replay:.0} ns \
         an exchange: {:.1} times as fast",
        theirs / replay
    );
    Ok(theirs / replay)
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
