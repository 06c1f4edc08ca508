//! How far a replay is above the floor, in one run: `cargo bench -p tamis-tests --bench replay`.
//!
//! The same module is played (a) by a bare loop over wasmtime and (b) by the whole way of an exchange: read
//! from a length-delimited tap, played by a stage, compared, tallied. Rounds are interleaved, times are
//! CPU time of this thread, medians are printed. The promise is at least 0.3 of the floor's throughput
//! with fuel counted on both sides, and a peak of memory that ten times the capture does not move.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its numbers")]

mod capture;
mod floor;

use anyhow::{Context, Result, ensure};
use capture::Repeat;
use floor::Floor;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_traffic::{Exchange, Kind, Playback, Verdict, compare_into, read};

/// Exchanges of one round.
const ROUND: usize = 20_000;
/// Rounds of each side.
const ROUNDS: usize = 9;
/// Least part of the floor's throughput.
const GOAL: f64 = 0.3;
/// Growth of the peak of memory that counts as flat, in KiB (4 MiB: buffers of the allocator).
const FLAT: u64 = 4 << 10;

fn main() -> Result<()> {
    // `cargo test --benches` and `cargo bench -- FILTER` pass arguments that are not for us.
    let wasm = wat::parse_str(include_str!("guest.wat"))?;
    let record: Arc<[u8]> = capture::record().into();
    let mut ours = [true, false].map(|fuel| Ours::new(&wasm, fuel));
    let mut floors = [true, false].map(|fuel| Floor::new(&wasm, fuel));
    let mut times = BTreeMap::<(&str, bool), Vec<f64>>::new();
    for _ in 0..ROUNDS {
        for (at, fuel) in [true, false].into_iter().enumerate() {
            let floor = floors[at].as_mut().map_err(|e| anyhow::anyhow!("{e:#}"))?;
            let ours = ours[at].as_mut().map_err(|e| anyhow::anyhow!("{e:#}"))?;
            times.entry(("floor", fuel)).or_default().push(timed(|| {
                let left = floor.play(ROUND as u64).map_err(|e| anyhow::anyhow!("{e:#}"))?;
                ensure!(left == 16 * ROUND as u64, "the floor left {left} headers");
                Ok(())
            })?);
            times.entry(("read", fuel)).or_default().push(timed(|| ours.read_only(&record, ROUND))?);
            times.entry(("replay", fuel)).or_default().push(timed(|| ours.replay(&record, ROUND))?);
        }
    }
    let mut met = true;
    for fuel in [true, false] {
        let ns = |what| median(&times[&(what, fuel)]);
        let ratio = ns("floor") / ns("replay");
        println!(
            "fuel {}: floor {:.0} ns, reading {:.0} ns, whole replay {:.0} ns an exchange: {:.2} of the floor",
            if fuel { "on " } else { "off" },
            ns("floor"),
            ns("read"),
            ns("replay"),
            ratio
        );
        met &= ratio >= GOAL;
    }
    let flat = memory(&wasm, &record)?;
    ensure!(met, "the replay is below {GOAL} of the floor");
    ensure!(flat, "memory grows with the capture");
    Ok(())
}

/// Peak memory after a capture and after one of ten times its length.
fn memory(wasm: &[u8], record: &Arc<[u8]>) -> Result<bool> {
    let mut ours = Ours::new(wasm, true)?;
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
}

impl Ours {
    fn new(wasm: &[u8], count_fuel: bool) -> Result<Self> {
        let engine = Engine::new(&EngineOptions { count_fuel, cache: None })?;
        let module = Module::load(&engine, wasm)?;
        let stage = Stage::builder(&engine).filter(FilterSpec::new("bench", module)).build()?;
        Ok(Self {
            stage,
            exchange: Exchange::default(),
            playback: Playback::default(),
            verdict: Verdict::default(),
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
        ensure!(fields == 3 * count, "{fields} differences");
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
