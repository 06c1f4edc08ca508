//! What reading one exchange costs, by format: medians and best of rounds, and ratios to the binary tap. Time is that of
//! the processor where the system tells it, so that a busy machine does not show.
//!
//! `cargo bench -p tamis-traffic --bench read`. The traffic is the bundled capture; JSON forms are made from it.
#![allow(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::io::{Cursor, Read};
use std::path::Path;
use std::time::Instant;
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::{Exchange, write::JsonLines};

const ROUNDS: usize = 31;
/// Copies of the capture a round, so that opening weighs nothing.
const COPIES: usize = 16;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let packed = std::fs::File::open(folder.join("boutique.pb_length_delimited.gz")).expect("the capture");
    let mut binary = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut binary).expect("gzip");
    let mut own = JsonLines::new(Vec::new());
    let mut exchange = Exchange::default();
    let mut reader = read::from_reader(Cursor::new(binary.clone()), &ReadOptions::default()).expect("a tap");
    while reader.next(&mut exchange).expect("a tap") {
        own.write(&exchange).expect("memory");
    }
    let own = own.finish().expect("memory");
    let json = std::fs::read(folder.join("boutique-streaming.json")).expect("the capture");

    let base = measure("binary tap", &binary, 1.0);
    measure("own form", &own, base);
    measure("JSON tap", &json, base);
}

fn measure(name: &str, bytes: &[u8], base: f64) -> f64 {
    let many: Vec<u8> = bytes.repeat(COPIES);
    let mut exchange = Exchange::default();
    let mut rounds = Vec::new();
    let mut count = 0;
    for _ in 0..ROUNDS {
        let from = Cursor::new(many.clone());
        let begin = Clock::start();
        let mut reader = read::from_reader(from, &ReadOptions::default()).expect("a capture");
        while reader.next(&mut exchange).expect("a capture") {}
        let nanos = begin.nanos();
        count = reader.tally().taken;
        rounds.push(nanos / count as f64);
    }
    rounds.sort_by(f64::total_cmp);
    let median = rounds[ROUNDS / 2];
    let size = many.len() as f64 / count as f64;
    let ratio = if base == 1.0 { 1.0 } else { median / base };
    let speed = size * 1000.0 / median;
    println!(
        "{name:<12} {median:>6.0} ns/exchange of {size:>5.0} B, best {:>6.0}, {speed:>5.0} MB/s, x{ratio:.2}",
        rounds[0]
    );
    median
}

struct Clock {
    wall: Instant,
    busy: Option<u64>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), busy: busy() }
    }

    fn nanos(&self) -> f64 {
        match (self.busy, busy()) {
            (Some(before), Some(after)) if after > before => (after - before) as f64,
            _ => self.wall.elapsed().as_nanos() as f64,
        }
    }
}

/// Nanoseconds that this thread has run, as Linux tells them.
fn busy() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}
