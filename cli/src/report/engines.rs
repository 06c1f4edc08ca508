//! Where two engines disagree: counts, and one example of each sort.

use super::event::Seen;
use super::human::plural;
use super::table::number;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Sorts of disagreement that are kept; the rest is counted.
const SORTS: usize = 20;

/// Lines of one disagreement that are kept.
const LINES: usize = 12;

/// One sort of disagreement, by its first example.
#[derive(Debug, Clone)]
pub struct Disagreed {
    /// Number in the replay.
    pub number: u64,
    /// Where it stands.
    pub place: String,
    /// What differs, `wasmtime -> envoy`.
    pub lines: Vec<String>,
    /// How many exchanges show the same.
    pub same: u64,
}

/// The test host against Envoy, over a replay.
#[derive(Debug, Clone, Default)]
pub struct EnginesSum {
    /// Exchanges that both played and that could be compared.
    pub compared: u64,
    /// Exchanges that one of them cannot judge.
    pub unclear: u64,
    /// Of the compared ones: not alike.
    pub differing: u64,
    /// One of each sort.
    pub found: Vec<Disagreed>,
}

impl EnginesSum {
    /// Counts one exchange.
    pub(super) fn add(&mut self, seen: &Seen<'_>) {
        let Some(against) = seen.against else { return };
        if !against.comparable {
            self.unclear += 1;
            return;
        }
        self.compared += 1;
        if against.found.is_empty() {
            return;
        }
        self.differing += 1;
        let mut lines = against.found.lines(seen.secrets);
        if lines.len() > LINES {
            let more = lines.len() - LINES;
            lines.truncate(LINES);
            lines.push(format!("and {more} more"));
        }
        if let Some(known) = self.found.iter_mut().find(|d| d.lines == lines) {
            known.same += 1;
        } else if self.found.len() < SORTS {
            let place = &seen.exchange.place;
            let (number, place) = (place.number, seen.files.place(place));
            self.found.push(Disagreed { number, place, lines, same: 1 });
        }
    }

    /// Both engines played.
    pub fn ran(&self) -> bool {
        self.compared + self.unclear > 0
    }

    /// For people: what differs, if anything does.
    pub(super) fn human(&self) -> String {
        let mut text = String::new();
        for d in &self.found {
            let _ = writeln!(text, "  #{} {}", d.number, d.place);
            for line in &d.lines {
                let _ = writeln!(text, "      {line}");
            }
            if d.same > 1 {
                let _ = writeln!(text, "      (and {} more like it)", number(d.same - 1));
            }
        }
        let shown: u64 = self.found.iter().map(|d| d.same).sum();
        if self.differing > shown {
            let _ = writeln!(text, "  {} differ in other ways", number(self.differing - shown));
        }
        text
    }

    /// One line.
    pub(super) fn line(&self) -> String {
        let unclear = match self.unclear {
            0 => String::new(),
            n => format!("; {} not compared, since one of them cannot judge them", number(n)),
        };
        match self.differing {
            0 => format!("wasmtime and Envoy agree on {}{unclear}", plural(self.compared, "exchange")),
            n => format!(
                "wasmtime and Envoy disagree on {} of {}{unclear}",
                number(n),
                plural(self.compared, "exchange")
            ),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let found =
            |d: &Disagreed| json!({"number": d.number, "place": d.place, "lines": d.lines, "count": d.same});
        json!({
            "compared": self.compared, "not_compared": self.unclear, "disagree": self.differing,
            "found": self.found.iter().map(found).collect::<Vec<_>>(),
        })
    }
}
