//! Counts of a replay, gathered while it runs.

use super::coverage::CoverageSum;
use super::engines::EnginesSum;
use super::event::{Filter, Seen, shown};
use super::injected::InjectedTable;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use tamis_traffic::{Blame, FaultKind, Kind, Place, Tally, redact};

/// Routes that are told apart; what comes after counts as one. A capture of random paths must not make a
/// table (and a map) of its own length; the user sees `(other routes)`.
pub const MAX_ROUTES: usize = 500;

/// Groups of faults that are told apart, for the same reason.
pub(super) const MAX_FAULT_GROUPS: usize = 200;

const OTHER: &str = "(other routes)";

/// Names of the files of a capture.
#[derive(Debug, Clone, Default)]
pub struct Files(Vec<String>);

impl Files {
    /// From the reader's list.
    pub fn new<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        Self(paths.map(shown).collect())
    }

    /// One file that has no path.
    pub fn named(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// `file:line`, or `file@offset` in formats without lines.
    pub fn place(&self, place: &Place) -> String {
        let file = self.0.get(place.file as usize).map_or("?", |f| f.as_str());
        match place.line {
            Some(line) => format!("{file}:{line}"),
            None => format!("{file}@{}", place.offset),
        }
    }
}

/// How many exchanges ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; Kind::ALL.len()]);

impl Counts {
    /// One more of this kind.
    pub fn add(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    /// How many of this kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// What one filter did.
#[derive(Debug, Clone, Default)]
pub struct FilterSum {
    /// Its name.
    pub name: String,
    /// By route.
    pub routes: HashMap<String, Counts>,
    /// Fuel in all.
    pub fuel: u64,
    /// Calls into the host in all.
    pub host_calls: u64,
    /// Exchanges that did not reach it.
    pub unreached: u64,
}

impl FilterSum {
    /// Over all routes.
    pub fn all(&self) -> Counts {
        let mut all = Counts::default();
        self.routes.values().for_each(|c| all.merge(*c));
        all
    }
}

/// An exchange worth showing.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Number in the replay.
    pub number: u64,
    /// Where it stands.
    pub place: String,
    /// Its route.
    pub route: String,
    /// The verdict in one line.
    pub verdict: String,
    /// The changes, a line each.
    pub changes: Vec<String>,
    /// How many exchanges differ in the same way (same route or not).
    pub same: u64,
}

/// Faults of one kind in one filter and phase.
#[derive(Debug, Clone)]
pub struct FaultGroup {
    /// How many.
    pub count: u64,
    /// The first: where.
    pub place: String,
    /// The first: its number in the replay.
    pub number: u64,
    /// The first: in its own words.
    pub text: String,
}

/// Everything a replay has to say at its end.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Exchanges played.
    pub exchanges: u64,
    /// Read but not selected by `--where`.
    pub unselected: u64,
    /// What the whole chain did.
    pub verdicts: Counts,
    /// What each filter did.
    pub filters: Vec<FilterSum>,
    /// The first of each sort, up to the limit.
    pub differences: Vec<Difference>,
    /// Exchanges that are not forwarded unchanged.
    pub differing: u64,
    /// Faults by kind, filter and phase.
    pub faults: BTreeMap<(FaultKind, Option<usize>, &'static str), FaultGroup>,
    /// Log lines of filters, by level (trace first).
    pub logs: [u64; 6],
    /// Callouts that filters made.
    pub callouts: u64,
    /// The test host against Envoy, when both played.
    pub engines: EnginesSum,
    /// What injected faults did; empty where none was asked for.
    pub injected: InjectedTable,
    /// What was reached of the filters' code, when that was asked for.
    pub coverage: Option<CoverageSum>,
    /// What the capture held.
    pub tally: Tally,
    /// Names of the captures.
    pub files: Files,
    /// Wall time of the replay in seconds, reading included.
    pub seconds: f64,
    /// Of it in the filters and their host, nanoseconds.
    pub play_nanos: u64,
    /// Interrupted before the end.
    pub interrupted: bool,
    /// How many differences to keep.
    show: usize,
    seen: HashMap<u64, usize>,
    route_names: HashSet<String>,
}

impl Summary {
    /// Empty, for a chain.
    pub fn new(filters: &[Filter], files: &Files, show: usize) -> Self {
        let filters =
            filters.iter().map(|f| FilterSum { name: f.name.clone(), ..FilterSum::default() }).collect();
        Self { filters, files: files.clone(), show, ..Self::default() }
    }

    /// Counts one exchange. Allocates only for what was not seen before.
    pub fn add(&mut self, seen: &Seen<'_>) {
        self.exchanges += 1;
        self.verdicts.add(seen.verdict.kind);
        if !self.route_names.contains(seen.route) && self.route_names.len() < MAX_ROUTES {
            self.route_names.insert(seen.route.to_owned());
        }
        let route = if self.route_names.contains(seen.route) { seen.route } else { OTHER };
        for (sum, trace) in self.filters.iter_mut().zip(&seen.playback.filters) {
            sum.fuel += trace.cost.fuel;
            sum.host_calls += u64::from(trace.cost.host_calls);
            match Kind::of_filter(trace) {
                None => sum.unreached += 1,
                Some(kind) => match sum.routes.get_mut(route) {
                    Some(counts) => counts.add(kind),
                    None => sum.routes.entry(route.to_owned()).or_default().add(kind),
                },
            }
        }
        self.engines.add(seen);
        self.callouts += seen.playback.callouts.len() as u64;
        for log in &seen.playback.logs {
            self.logs[log.level as usize] += 1;
        }
        for fault in &seen.playback.faults {
            let key = (fault.kind, fault.filter, fault.phase);
            if let Some(group) = self.faults.get_mut(&key) {
                group.count += 1;
            } else if self.faults.len() < MAX_FAULT_GROUPS {
                let place = &seen.exchange.place;
                let text = redact::show(fault.text.as_bytes()).to_string();
                let group =
                    FaultGroup { count: 1, place: seen.files.place(place), number: place.number, text };
                self.faults.insert(key, group);
            }
        }
        if seen.verdict.kind != Kind::Forwarded {
            self.differing += 1;
            self.differ(seen);
        }
    }

    /// Counts the faults of the shutdown, which belong to no exchange.
    pub fn at_end(&mut self, playback: &tamis_traffic::Playback) {
        for fault in &playback.faults {
            let text = redact::show(fault.text.as_bytes()).to_string();
            let group = FaultGroup {
                count: 0,
                place: "the end of the replay".to_owned(),
                number: self.exchanges,
                text,
            };
            self.faults.entry((fault.kind, fault.filter, fault.phase)).or_insert(group).count += 1;
        }
    }

    /// Keeps one exchange of each sort of difference, so that a few lines show much.
    fn differ(&mut self, seen: &Seen<'_>) {
        let sort = sort_of(seen);
        if let Some(index) = self.seen.get(&sort) {
            self.differences[*index].same += 1;
            return;
        }
        if self.differences.len() >= self.show {
            return;
        }
        self.seen.insert(sort, self.differences.len());
        let place = &seen.exchange.place;
        self.differences.push(Difference {
            number: place.number,
            place: seen.files.place(place),
            route: redact::show(seen.route.as_bytes()).to_string(),
            verdict: verdict_line(seen),
            changes: seen.verdict.changes.iter().map(|c| c.display(seen.secrets).to_string()).collect(),
            same: 1,
        });
    }

    /// Whether a filter is to blame for any fault, or broke without one.
    pub fn broke(&self) -> bool {
        self.verdicts.of(Kind::Broke) > 0
            || self.faults.keys().any(|(kind, ..)| kind.blame() == Blame::Filter)
    }
}

/// The verdict in one line, with the name of the filter that answered.
pub(super) fn verdict_line(seen: &Seen<'_>) -> String {
    let by = seen.verdict.answered.and_then(|a| seen.filters.get(a.filter));
    match by {
        Some(filter) => format!("{} by {}", seen.verdict, filter.name),
        None => seen.verdict.to_string(),
    }
}

fn sort_of(seen: &Seen<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let verdict = seen.verdict;
    verdict.kind.hash(&mut hasher);
    if let Some(answered) = verdict.answered {
        (answered.filter, answered.status, answered.grpc_status).hash(&mut hasher);
    }
    if let Some(fault) = &verdict.fault {
        (fault.kind, fault.filter).hash(&mut hasher);
    }
    for change in verdict.changes.iter() {
        (change.half(), change.label()).hash(&mut hasher);
        if let tamis_traffic::Change::Field { name, old, new, .. } = change {
            (name, old.is_some(), new.is_some()).hash(&mut hasher);
        }
    }
    hasher.finish()
}
