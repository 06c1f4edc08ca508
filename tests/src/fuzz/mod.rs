//! Random scripts and random requests, played by our host and by a real Envoy, compared.
//!
//! A case is a row of the conformance table that a seed and a number make. Cases are played fast, one after the
//! other through one Envoy that has all chains; what differs is played again alone and slowly, as a row, and only
//! then is it a difference. It is cut down to the smallest row that still differs. What the grammar leaves out is
//! [`LEFT_OUT`], what is not compared [`alike::NORMALISED`].

pub mod alike;
mod cause;
mod dice;
mod kinds;
mod lane;
mod paper;
mod run;
mod script;
mod shrink;
mod traffic;
mod words;

pub use paper::yaml;
pub use run::{Difference, Plan, Totals, run};
pub use shrink::shrink;
pub use words::{LEFT_OUT, LeftOut};

use crate::row::Row;
use dice::Dice;
use script::For;

/// A case: a row, and the chain that it goes through.
#[derive(Debug, Clone)]
pub struct Case {
    /// The chain's name.
    pub kind: String,
    /// What is played.
    pub row: Row,
}

/// The case with this number in the run with this seed.
pub fn case(seed: u64, number: u64) -> Case {
    let mut dice = Dice::new(seed, number);
    let (kind, mut row) = kinds::pick(&mut dice);
    row.says = format!("case {number} of seed {seed}");
    let key = format!("k{number}");
    for _ in 0..dice.weigh(&[(6, 1), (2, 2), (1, 3)]) {
        let mut step = traffic::step(&mut dice);
        let quiet = dice.percent(50);
        for filter in &row.chain {
            let in_pieces =
                step.chunked || step.answer.chunked || step.body.len().max(step.answer.body.len()) > 1;
            let calls = quiet && !filter.allow_on_headers_stop_iteration && !in_pieces;
            let pair = filter.vm.is_some();
            let whom = For { key: &key, http2: step.http2, quiet, calls, pair };
            let script = script::script(&mut dice, &whom);
            if !script.is_empty() {
                step.script.insert(filter.name.clone(), script);
            }
        }
        row.exchanges.push(step);
    }
    Case { kind, row }
}
