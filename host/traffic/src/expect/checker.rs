//! Holds the exchanges of a replay against a test.

use super::check::{Check, Faults, Scope};
use super::error::Spot;
use super::judge::{Mismatch, judge};
use super::test::TrafficTest;
use crate::{Exchange, FaultKind, Place, Playback, route_of};
use std::fmt;

/// Failing exchanges of one check that are kept to be shown; all are counted.
pub const MAX_FAILURES: usize = 5;

/// Sees the exchanges of a test one after another and says in the end which expectations held.
#[derive(Debug)]
pub struct Checker {
    checks: Vec<(Check, CheckResult)>,
    sent: Vec<(Check, CheckResult)>,
    not_playable: u64,
    /// Kept to save an allocation for each exchange.
    mismatches: Vec<Mismatch>,
}

impl Checker {
    /// A checker that has seen nothing.
    pub fn new(test: &TrafficTest) -> Self {
        let start = |check: &Check| (check.clone(), CheckResult::new(check));
        Self {
            checks: test.expect.iter().map(start).collect(),
            sent: test.send.iter().map(|sent| start(&sent.check)).collect(),
            not_playable: 0,
            mismatches: Vec::new(),
        }
    }

    /// How many exchanges of the captures could not be played and were held against nothing.
    pub fn not_playable(&self) -> u64 {
        self.not_playable
    }

    /// An exchange of the captures was played.
    ///
    /// One that lacks what playing needs (fault `not-playable`) says nothing about a filter: it is counted, and
    /// held only against checks that expect that very fault.
    pub fn see(&mut self, exchange: &Exchange, playback: &Playback) {
        let playable = !playback.faults.iter().any(|fault| fault.kind == FaultKind::NotPlayable);
        self.not_playable += u64::from(!playable);
        let mut matched_before = false;
        for (check, result) in &mut self.checks {
            if !playable && !expects_not_playable(check) {
                continue;
            }
            let concerned = match &check.scope {
                Scope::All => true,
                Scope::Others => !matched_before,
                Scope::Where(condition) => match condition.matches(exchange) {
                    Ok(matches) => {
                        matched_before |= matches;
                        matches
                    }
                    Err(error) => {
                        result.problem.get_or_insert_with(|| format!("`where`: {error}"));
                        false
                    }
                },
            };
            if concerned {
                result.judge(check, exchange, playback, &mut self.mismatches);
            }
        }
    }

    /// The exchange at `index` of [`TrafficTest::send`] was played.
    ///
    /// # Panics
    /// When the test has no such exchange.
    pub fn see_sent(&mut self, index: usize, exchange: &Exchange, playback: &Playback) {
        let (check, result) = &mut self.sent[index];
        result.judge(check, exchange, playback, &mut self.mismatches);
    }

    /// How every expectation came out: those of `expect`, then those of `send`.
    pub fn finish(self) -> Vec<CheckResult> {
        let finish = |(check, mut result): (Check, CheckResult)| {
            if result.problem.is_none() {
                result.problem = count(&check, result.matched);
            }
            result
        };
        self.checks.into_iter().chain(self.sent).map(finish).collect()
    }
}

fn expects_not_playable(check: &Check) -> bool {
    matches!(&check.faults, Some(Faults::Exactly(kinds)) if kinds.contains(&FaultKind::NotPlayable))
}

/// A check that no exchange was held against is no success.
fn count(check: &Check, matched: u64) -> Option<String> {
    match check.count {
        Some(wanted) if wanted.holds(matched) => None,
        Some(wanted) => Some(format!("count: expected {wanted}, saw {matched}")),
        None if matched == 0 => Some("nothing matched".to_owned()),
        None => None,
    }
}

/// How one expectation came out. Its `Display` is some lines: the name, what is wrong, the first failures.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// The name of the check.
    pub name: String,
    /// Where it stands in the test.
    pub at: Spot,
    /// Exchanges that it was about.
    pub matched: u64,
    /// Those of them that were not as expected.
    pub failed: u64,
    /// The first [`MAX_FAILURES`] of those.
    pub failures: Vec<Failure>,
    /// What is wrong with the check as a whole: its count, nothing matched, an expression that fails.
    pub problem: Option<String>,
}

impl CheckResult {
    fn new(check: &Check) -> Self {
        Self {
            name: check.name.clone(),
            at: check.at,
            matched: 0,
            failed: 0,
            failures: Vec::new(),
            problem: None,
        }
    }

    /// True when everything was as expected.
    pub fn passed(&self) -> bool {
        self.failed == 0 && self.problem.is_none()
    }

    fn judge(
        &mut self,
        check: &Check,
        exchange: &Exchange,
        playback: &Playback,
        mismatches: &mut Vec<Mismatch>,
    ) {
        self.matched += 1;
        mismatches.clear();
        judge(check, exchange, playback, mismatches);
        if mismatches.is_empty() {
            return;
        }
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(Failure {
                place: exchange.place.clone(),
                id: exchange.id.clone(),
                route: route_of(exchange).into_owned(),
                mismatches: std::mem::take(mismatches),
            });
        }
    }
}

/// An exchange that was not as expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Where it stands in the capture; for a sent one the number is 0 and the line that of the test.
    pub place: Place,
    /// Its name in the capture; may be empty.
    pub id: String,
    /// Its route.
    pub route: String,
    /// What was not as expected.
    pub mismatches: Vec<Mismatch>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place.number, self.place.line) {
            (0, None) => f.write_str("sent exchange")?,
            (0, Some(line)) => write!(f, "exchange sent by line {line}")?,
            (number, None) => write!(f, "exchange {number}")?,
            (number, Some(line)) => write!(f, "exchange {number} (line {line})")?,
        }
        write!(f, " {}", crate::redact::show(self.route.as_bytes()))?;
        self.mismatches.iter().try_for_each(|mismatch| write!(f, "\n  {mismatch}"))
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed() { "ok" } else { "failed" };
        write!(f, "{word}: {} ({} of {} exchanges)", self.name, self.matched - self.failed, self.matched)?;
        if let Some(problem) = &self.problem {
            write!(f, "\n{problem}")?;
        }
        self.failures.iter().try_for_each(|failure| write!(f, "\n{failure}"))?;
        match self.failed - self.failures.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n{more} more"),
        }
    }
}
