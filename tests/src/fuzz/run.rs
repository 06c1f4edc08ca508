//! A run of the fuzzer: lanes beside each other, and what came of it.

use super::cause::cause;
use super::lane::{Came, Lane};
use super::{Case, case, shrink, yaml};
use crate::row::Row;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tamis_host::{Engine, Module};

/// Rows that are played to cut one difference down, first fast, then each in an Envoy of its own.
const FAST_TRIES: usize = 300;
const TRIES: usize = 20;

/// Differences of one cause that are cut down; of the others it is only known that they are there.
const CUT_DOWN: u64 = 3;

/// Between two reports of progress.
const REPORT: Duration = Duration::from_secs(5);

/// What is to be played.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The seed of all cases.
    pub seed: u64,
    /// Number of the first case.
    pub first: u64,
    /// Exchanges to play on both engines; the run ends with the case that reaches it.
    pub exchanges: u64,
    /// Envoys side by side.
    pub lanes: usize,
    /// The run ends with this many differences.
    pub differences: usize,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Totals {
    /// Cases that both engines played.
    pub cases: u64,
    /// Exchanges of these cases.
    pub exchanges: u64,
    /// Cases that only our host played, by the finding that it reports.
    pub found: BTreeMap<String, u64>,
    /// Exchanges of those cases.
    pub found_exchanges: u64,
    /// Cases that differed when played fast, and not when played alone: as they are.
    pub only_fast: Vec<Difference>,
    /// What is left.
    pub differences: Vec<Difference>,
    /// How often each cause is among these.
    pub causes: BTreeMap<String, u64>,
}

impl Totals {
    /// Exchanges that our host played: those of both engines, and those of cases with a finding.
    pub fn executions(&self) -> u64 {
        self.exchanges + self.found_exchanges
    }

    /// Differences in a hundred thousand exchanges of both engines.
    pub fn rate(&self) -> f64 {
        self.differences.len() as f64 * 100_000.0 / self.exchanges.max(1) as f64
    }
}

/// A case that the two engines do not play alike.
#[derive(Debug)]
pub struct Difference {
    /// The case's number.
    pub number: u64,
    /// The smallest row that still differs, as a file of the conformance table.
    pub row: String,
    /// Its texts beside each other: `-` Envoy, `+` our host.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case {}: - Envoy, + our host; the row\n\n{}\n{}", self.number, self.row, self.text)
    }
}

/// Plays cases until the plan is fulfilled. `report` sees the totals now and then, and a difference at once.
///
/// # Errors
/// When an engine does not start.
pub fn run(plan: &Plan, guest: &Path, report: &(dyn Fn(&Totals) + Sync)) -> Result<Totals> {
    let engine = Engine::new(&Default::default())?;
    let module = Module::load(&engine, &std::fs::read(guest)?)?;
    let run = Run {
        plan,
        next: AtomicU64::new(plan.first),
        over: AtomicBool::new(false),
        totals: Mutex::default(),
        reported: Mutex::new(Instant::now()),
        report,
    };
    std::thread::scope(|scope| {
        let start = |_| scope.spawn(|| run.lane(Lane::new(&engine, &module, guest)));
        let lanes: Vec<_> = (0..plan.lanes.max(1)).map(start).collect();
        let ended = lanes.into_iter().map(|lane| lane.join());
        ended.map(|end| end.unwrap_or_else(|_| anyhow::bail!("a lane panicked"))).collect::<Result<Vec<()>>>()
    })?;
    Ok(run.totals.into_inner().unwrap_or_else(|e| e.into_inner()))
}

struct Run<'a> {
    plan: &'a Plan,
    next: AtomicU64,
    over: AtomicBool,
    totals: Mutex<Totals>,
    reported: Mutex<Instant>,
    report: &'a (dyn Fn(&Totals) + Sync),
}

impl Run<'_> {
    fn lane(&self, mut lane: Lane<'_>) -> Result<()> {
        let ended = self.cases(&mut lane);
        // One lane that cannot go on ends the others.
        if ended.is_err() {
            self.over.store(true, Ordering::Relaxed);
        }
        ended
    }

    fn cases(&self, lane: &mut Lane<'_>) -> Result<()> {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let case = case(self.plan.seed, number);
            let came = lane.play(&case)?;
            // Most of what differs only when played fast does not do so twice.
            let differs =
                matches!(came, Came::Differs(_) | Came::Broke) && !matches!(lane.play(&case)?, Came::Alike);
            let difference = if differs { self.judge(lane, number, &case)? } else { None };
            let mut totals = self.totals();
            let news = difference.is_some();
            if let Came::Found(code) = came {
                *totals.found.entry(code).or_default() += 1;
                totals.found_exchanges += case.row.exchanges.len() as u64;
            } else {
                totals.cases += 1;
                totals.exchanges += case.row.exchanges.len() as u64;
                if let Some(difference) = difference {
                    *totals.causes.entry(cause(&difference.text)).or_default() += 1;
                    totals.differences.push(difference);
                } else if let Came::Differs(text) = came {
                    totals.only_fast.push(Difference { number, row: yaml(&case.row)?, text });
                } else if let Came::Broke = came {
                    totals.only_fast.push(Difference {
                        number,
                        row: yaml(&case.row)?,
                        text: "no answer\n".into(),
                    });
                }
            }
            if totals.exchanges >= self.plan.exchanges || totals.differences.len() >= self.plan.differences {
                self.over.store(true, Ordering::Relaxed);
            }
            if news || self.is_time() {
                (self.report)(&totals);
            }
        }
        Ok(())
    }

    /// Whether a case that differs when played fast does so alone, and the smallest row that does.
    fn judge(&self, lane: &mut Lane<'_>, number: u64, case: &Case) -> Result<Option<Difference>> {
        // An Envoy that ends is a difference as well.
        let (name, whole) = renamed(case.row.clone(), number);
        let mut text = String::new();
        // Twice, for even then a piece of a body may catch up with the one before.
        for _ in 0..2 {
            text = match lane.alone(&name, &whole) {
                Ok(None) => return Ok(None),
                Ok(Some(text)) => text,
                Err(why) => format!("{why:#}"),
            };
        }
        if self.totals().causes.get(&cause(&text)).is_some_and(|times| *times >= CUT_DOWN) {
            return Ok(Some(Difference { number, row: yaml(&whole)?, text }));
        }
        let kind = &case.kind;
        let fast = |row: &Row| {
            let same_chain = row.chain == case.row.chain;
            let case = Case { kind: kind.clone(), row: row.clone() };
            same_chain && matches!(lane.play(&case), Ok(Came::Differs(_)))
        };
        let small = shrink(case.row.clone(), FAST_TRIES, fast);
        let (_, small) = renamed(small, number);
        let differs = |row: &Row| !matches!(lane.alone(&name, row), Ok(None));
        let row = if differs(&small) { small } else { whole };
        let row = shrink(row, TRIES, differs);
        let text = match lane.alone(&name, &row) {
            Ok(text) => text.unwrap_or_else(|| "it differs now and then only".into()),
            Err(why) => format!("{why:#}"),
        };
        Ok(Some(Difference { number, row: yaml(&row)?, text }))
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn is_time(&self) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(|e| e.into_inner());
        let due = reported.elapsed() > REPORT;
        if due {
            *reported = Instant::now();
        }
        due
    }
}

/// The row with names of filters that no other row has.
fn renamed(mut row: Row, number: u64) -> (String, Row) {
    for filter in &mut row.chain {
        let fresh = format!("n{number}{}", filter.name.trim_start_matches('f'));
        for step in &mut row.exchanges {
            if let Some(script) = step.script.remove(&filter.name) {
                step.script.insert(fresh.clone(), script);
            }
        }
        filter.name = fresh;
    }
    (format!("fuzz-{number}"), row)
}
