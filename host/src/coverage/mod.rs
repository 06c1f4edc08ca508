//! Which lines of a filter the traffic reached.
//!
//! [`Covered`] is the module with counters built in: one for each stretch of code without a branch or a call that
//! holds a line of the sources asked for. Counters are globals behind all others and nothing else is touched, so
//! the filter does what it does without; only its fuel grows. Lines come from the DWARF that the compiler left.

mod code;
mod error;
mod lines;

pub use error::CoverageError;

use lines::{Lines, Place};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Exports of the counters begin so; a number follows.
pub(crate) const COUNTER: &str = "tamis-counter-";

/// Fuel of a callback is this many times what was asked for while coverage is taken: counters and unoptimised
/// code use more, and the limit is only there to end loops without end.
pub(crate) const FUEL_FACTOR: u64 = 20;

/// Most counters of one module. Each is a global and an export; a filter's own code has some thousands.
const COUNTERS_LIMIT: usize = 200_000;

/// A module with counters.
#[derive(Debug)]
pub struct Covered {
    wasm: Vec<u8>,
    counters: Vec<Counter>,
    /// Places of code that is not in the module: the linker found it unused.
    dropped: Vec<Place>,
    files: Vec<PathBuf>,
    functions: Vec<lines::Function>,
    /// The counter of the first stretch of each function body, by its index in the code section.
    entries: BTreeMap<usize, usize>,
}

/// What one counter stands for.
#[derive(Debug)]
struct Counter {
    /// Index of the function body.
    body: usize,
    places: Vec<Place>,
}

/// What was reached of one source file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileCoverage {
    /// How often each line ran that has code, by its number from 1.
    pub lines: BTreeMap<u32, u64>,
    /// Its functions by the line at which they begin: name, and how often it was entered.
    pub functions: BTreeMap<u32, (String, u64)>,
}

impl Covered {
    /// Builds counters into a module, for the source files that `own` says yes to.
    ///
    /// # Errors
    /// When the module or its debug information cannot be read, when it has none, or none of these files.
    pub fn new(wasm: &[u8], own: &dyn Fn(&Path) -> bool) -> Result<Self, CoverageError> {
        let module = code::Module::read(wasm)?;
        let lines = Lines::read(&module, own)?;
        let mut counters = Vec::new();
        let mut entries = BTreeMap::new();
        let mut at = Vec::with_capacity(module.bodies.len());
        for (index, body) in module.bodies.iter().enumerate() {
            let function = lines.function_in(module.address(&body.range));
            let mut inserted = Vec::new();
            for (number, block) in body.blocks(wasm)?.into_iter().enumerate() {
                let mut places: Vec<Place> = block
                    .operators
                    .iter()
                    .filter_map(|offset| lines.at(module.address_of(*offset)))
                    .collect();
                places.sort_unstable();
                places.dedup();
                let entry = number == 0 && function;
                if places.is_empty() && !entry {
                    continue;
                }
                if entry {
                    entries.insert(index, counters.len());
                }
                inserted.push((block.start, counters.len()));
                counters.push(Counter { body: index, places });
            }
            at.push(inserted);
        }
        if counters.is_empty() {
            return Err(CoverageError::NoOwnSources { seen: lines.seen });
        }
        if counters.len() > COUNTERS_LIMIT {
            return Err(CoverageError::TooMuch { counters: counters.len(), limit: COUNTERS_LIMIT });
        }
        let wasm = module.with_counters(wasm, &at, counters.len());
        let functions =
            lines.functions.into_iter().map(|f| lines::Function { body: module.body_at(f.address), ..f });
        Ok(Self {
            wasm,
            counters,
            dropped: lines.dropped,
            functions: functions.collect(),
            files: lines.files,
            entries,
        })
    }

    /// The module to play instead.
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// What these counts (as [`Counters::of`] gives them) say of each source file, in order of the paths.
    ///
    /// A line that stands in several stretches of one function counts as its busiest; over several copies of a
    /// function (a generic one, or one made inline elsewhere) counts add up.
    pub fn files(&self, counts: &[u64]) -> BTreeMap<PathBuf, FileCoverage> {
        let count = |index: usize| counts.get(index).copied().unwrap_or(0);
        let mut in_body: BTreeMap<(usize, Place), u64> = BTreeMap::new();
        for (index, counter) in self.counters.iter().enumerate() {
            for place in &counter.places {
                let busiest = in_body.entry((counter.body, *place)).or_default();
                *busiest = (*busiest).max(count(index));
            }
        }
        let mut files = vec![FileCoverage::default(); self.files.len()];
        for ((_, place), count) in in_body {
            let line = files[place.file].lines.entry(place.line).or_default();
            *line = line.saturating_add(count);
        }
        for place in &self.dropped {
            files[place.file].lines.entry(place.line).or_default();
        }
        for function in &self.functions {
            let entered = function.body.and_then(|b| self.entries.get(&b)).map_or(0, |index| count(*index));
            let known = files[function.place.file].functions.entry(function.place.line);
            let (_, total) = known.or_insert_with(|| (function.name.clone(), 0));
            *total = total.saturating_add(entered);
        }
        let known = self.files.iter().cloned().zip(files);
        known.filter(|(_, file)| !file.lines.is_empty() || !file.functions.is_empty()).collect()
    }
}

/// Counts of a stage's filters; clones share them. The stage adds to them when a VM ends.
#[derive(Debug, Default, Clone)]
pub struct Counters(Arc<Mutex<BTreeMap<usize, Vec<u64>>>>);

impl Counters {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts of the filter at this index of the chain; empty for one without counters. Filters that share a
    /// VM count as the first of them.
    pub fn of(&self, filter: usize) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&filter).cloned().unwrap_or_default()
    }

    pub(crate) fn add(&self, filter: usize, counts: &[u64]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = all.entry(filter).or_default();
        mine.resize(mine.len().max(counts.len()), 0);
        mine.iter_mut().zip(counts).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
    }
}

#[cfg(test)]
mod tests;
