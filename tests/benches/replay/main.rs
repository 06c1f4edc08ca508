//! How far a replay is above the floor, in one run: `cargo bench -p tamis-tests --bench replay`.
//!
//! The same module is played (a) by a bare loop over wasmtime and (b) by the whole way of an exchange: read
//! from a length-delimited tap, played by a stage, compared, tallied. Rounds are interleaved, times are
//! CPU time of this thread, medians are printed.
//!
//! The promise is for header filters: at least 0.3 of the floor's throughput with fuel counted on both sides, for
//! header-routing as it ships and for a filter on the bare proxy-wasm crate that reads five headers, adds two and
//! removes one. Two more modules are printed beside them, which do next to nothing themselves: the linked header
//! template and the same five reads without any SDK. With a floor of 0.2 to 0.3 us they show what the rules of a proxy
//! cost for each exchange, whatever the filter does.
//!
//! Ten times the capture must not move the peak of memory. And the template's replay is held against a real Envoy with
//! the same module.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its numbers")]

mod capture;
mod floor;
mod proxy;

use anyhow::{Context, Result, anyhow, ensure};
use capture::Repeat;
use floor::Floor;
use std::sync::Arc;
use std::time::Duration;
use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_tests::artifact;
use tamis_traffic::{Exchange, Kind, Playback, Verdict, compare_into, read};

/// Exchanges of one round.
const ROUND: usize = 20_000;
/// Rounds of each side.
const ROUNDS: usize = 9;
/// Least part of the floor's throughput that a header filter reaches.
const GOAL: f64 = 0.3;
/// Least ratio to a real Envoy under load, by CPU time.
const ENVOY_GOAL: f64 = 10.0;
/// Growth of the peak of memory that counts as flat, in KiB (4 MiB: buffers of the allocator).
const FLAT: u64 = 4 << 10;

/// What the shipped filter is told: one rule that reads headers and fits, two headers set, one taken away.
const ROUTING: &str = r#"{
    "strip_request_headers": ["x-remove-me"],
    "rules": [{
        "name": "acme",
        "match": [{"headers": [{"name": "x-tenant", "prefix": "acme"}, {"name": "user-agent", "contains": "Firefox"}], "methods": ["GET"]}],
        "action": {"request_headers": {"set": {"x-added-one": "one", "x-added-two": "two"}}}
    }]
}"#;

/// A module and its configuration.
struct Guest {
    name: &'static str,
    wasm: Vec<u8>,
    config: Vec<u8>,
    /// Header fields of an exchange that it changes.
    changes: usize,
    /// The promise is for it.
    promised: bool,
}

fn main() -> Result<()> {
    let record: Arc<[u8]> = capture::record().into();
    let shipped = artifact::shipped("header-routing", artifact::WASI)?;
    let shipped = Guest {
        name: "header-routing",
        wasm: std::fs::read(shipped)?,
        config: ROUTING.into(),
        changes: 3,
        promised: true,
    };
    let raw = std::fs::read(artifact::raw_bench()?)?;
    let raw = Guest { name: "bare crate", wasm: raw, config: Vec::new(), changes: 3, promised: true };
    let bare = Guest {
        name: "no sdk",
        wasm: wat::parse_str(include_str!("guest.wat"))?,
        config: Vec::new(),
        changes: 3,
        promised: false,
    };
    let template = proxy::template()?;
    // `cargo bench … -- sdk`: the guests whose name holds it, to profile one.
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let mut low = Vec::new();
    for guest in [&shipped, &raw, &template, &bare].into_iter().filter(|g| g.name.contains(&only)) {
        if measure(guest, true, &record)? < GOAL && guest.promised {
            low.push(guest.name);
        }
        measure(guest, false, &record)?;
    }
    let times = if "header template, Envoy".contains(&only) {
        proxy::compare(&template, &record)?
    } else {
        ENVOY_GOAL
    };
    let flat = memory(&shipped, &record)?;
    ensure!(low.is_empty(), "below {GOAL} of the floor: {}", low.join(", "));
    ensure!(flat, "memory grows with the capture");
    ensure!(times >= ENVOY_GOAL, "a replay is below {ENVOY_GOAL} times a real Envoy");
    Ok(())
}

/// Interleaved rounds of one module; gives the part of the floor's throughput that is reached.
fn measure(guest: &Guest, fuel: bool, record: &Arc<[u8]>) -> Result<f64> {
    let mut floor = Floor::new(&guest.wasm, &guest.config, fuel).map_err(|e| anyhow!("{e:#}"))?;
    let mut ours = Ours::new(guest, fuel)?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(timed(|| {
            let left = floor.play(ROUND).map_err(|e| anyhow!("{e:#}"))?;
            ensure!(left == 16 * ROUND, "the floor left {left} headers");
            Ok(())
        })?);
        times[1].push(timed(|| ours.read_only(record, ROUND))?);
        times[2].push(timed(|| ours.play_only(record, ROUND))?);
        times[3].push(timed(|| ours.replay(record, ROUND))?);
    }
    let [floor, read, play, replay] = times.map(|times| median(&times));
    let ratio = floor / replay;
    let (name, fuel) = (guest.name, if fuel { "on" } else { "off" });
    println!(
        "{name}, fuel {fuel}: floor {floor:.0} ns; reading {read:.0} ns, playing {play:.0} ns, whole replay \
         {replay:.0} ns an exchange: {ratio:.2} of the floor"
    );
    Ok(ratio)
}

/// Peak memory after a capture and after one of ten times its length.
fn memory(guest: &Guest, record: &Arc<[u8]>) -> Result<bool> {
    let mut ours = Ours::new(guest, true)?;
    ours.replay(record, ROUND)?;
    let once = peak()?;
    ours.replay(record, 10 * ROUND)?;
    let ten = peak()?;
    println!("peak memory: {once} KiB after {ROUND} exchanges, {ten} KiB after ten times as many");
    Ok(ten - once <= FLAT)
}

/// Our whole way.
struct Ours {
    stage: Stage,
    exchange: Exchange,
    playback: Playback,
    verdict: Verdict,
    changes: usize,
}

impl Ours {
    fn new(guest: &Guest, count_fuel: bool) -> Result<Self> {
        let engine = Engine::new(&EngineOptions { count_fuel, cache: None })?;
        let mut filter = FilterSpec::new("bench", Module::load(&engine, &guest.wasm)?);
        filter.config.clone_from(&guest.config);
        let stage = Stage::builder(&engine).filter(filter).build()?;
        Ok(Self {
            stage,
            exchange: Exchange::default(),
            playback: Playback::default(),
            verdict: Verdict::default(),
            changes: guest.changes,
        })
    }

    fn read_only(&mut self, record: &Arc<[u8]>, count: usize) -> Result<()> {
        let mut reader = read::from_reader(Repeat::new(record, count), &read::ReadOptions::default())?;
        let mut taken = 0;
        while reader.next(&mut self.exchange)? {
            taken += 1;
        }
        ensure!(taken == count, "{taken} exchanges were read");
        Ok(())
    }

    fn play_only(&mut self, record: &Arc<[u8]>, count: usize) -> Result<()> {
        let mut reader = read::from_reader(Repeat::new(record, 1), &read::ReadOptions::default())?;
        ensure!(reader.next(&mut self.exchange)?, "nothing was read");
        for _ in 0..count {
            self.stage.play(&self.exchange, &mut self.playback);
        }
        ensure!(self.playback.faults.is_empty(), "{:?}", self.playback.faults);
        Ok(())
    }

    fn replay(&mut self, record: &Arc<[u8]>, count: usize) -> Result<()> {
        let mut reader = read::from_reader(Repeat::new(record, count), &read::ReadOptions::default())?;
        let mut tally = [0usize; 4];
        let mut fields = 0;
        while reader.next(&mut self.exchange)? {
            self.stage.play(&self.exchange, &mut self.playback);
            compare_into(&self.exchange, &self.playback, &mut self.verdict);
            tally[self.verdict.kind as usize] += 1;
            fields += self.verdict.changes.len();
        }
        ensure!(tally[Kind::Changed as usize] == count, "verdicts {tally:?}: {:?}", self.playback.faults);
        ensure!(fields == self.changes * count, "{fields} differences");
        Ok(())
    }
}

/// Nanoseconds of CPU time for one exchange.
fn timed(round: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu()?;
    round()?;
    Ok((cpu()? - before).as_nanos() as f64 / ROUND as f64)
}

/// CPU time of this thread.
fn cpu() -> Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

/// Peak resident memory of this process in KiB.
fn peak() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("peak memory needs Linux's /proc")?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
