//! JSON lines: for programs. Field names are public interface; fields may be added.

use super::summary::{Counts, Summary, verdict_line};
use super::{Event, Seen, Sink, TestDone};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use tamis_traffic::{Kind, Tally, redact};

/// Writes one JSON object a line, flushed after each.
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write> JsonLines<W> {
    /// Begins with the line that names the version.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "{}", crate::ui::first_line())?;
        Ok(Self { out })
    }

    /// Goes on after that line.
    pub fn continued(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn wants_exchanges(&self) -> bool {
        true
    }

    fn on(&mut self, event: &Event<'_>) -> io::Result<()> {
        let value = match event {
            Event::Start { filters, files } => json!({
                "event": "start",
                "filters": filters.iter().map(|f| json!({"name": f.name, "bytes": f.size, "abi": f.abi})).collect::<Vec<_>>(),
                "captures": files.names(),
            }),
            Event::Exchange(seen) => exchange(seen),
            Event::Replayed(summary) => replayed(summary),
            Event::Test(test) => check(test),
            Event::Tested(totals) => json!({
                "event": "tested", "files": totals.files, "passed": totals.passed, "failed": totals.failed,
                "seconds": totals.seconds, "interrupted": totals.interrupted,
            }),
        };
        writeln!(self.out, "{value}")?;
        self.out.flush()
    }
}

fn exchange(seen: &Seen<'_>) -> Value {
    let shown = |text: &str| redact::show(text.as_bytes()).to_string();
    let mut object = json!({
        "event": "exchange", "number": seen.exchange.place.number, "id": seen.exchange.id,
        "place": seen.files.place(&seen.exchange.place), "route": shown(seen.route),
        "verdict": seen.verdict.kind.word(),
    });
    let filters: Vec<Value> = seen
        .filters
        .iter()
        .zip(&seen.playback.filters)
        .map(|(f, t)| {
            json!({"name": f.name, "did": Kind::of_filter(t).map(Kind::word), "fuel": t.cost.fuel,
                "host_calls": t.cost.host_calls, "memory_grown": t.cost.memory_grown})
        })
        .collect();
    object["filters"] = filters.into();
    let verdict = seen.verdict;
    if verdict.kind != Kind::Forwarded {
        object["text"] = verdict_line(seen).into();
    }
    if let Some(answered) = verdict.answered {
        object["answered"] = json!({
            "by": seen.filters.get(answered.filter).map(|f| f.name.as_str()),
            "status": answered.status, "grpc_status": answered.grpc_status,
        });
    }
    let changes: Vec<String> = verdict.changes.iter().map(|c| c.display(seen.secrets).to_string()).collect();
    if !changes.is_empty() {
        object["changes"] = changes.into();
    }
    let faults: Vec<Value> = seen
        .playback
        .faults
        .iter()
        .map(|f| {
            let filter = f.filter.and_then(|i| seen.filters.get(i)).map(|f| f.name.as_str());
            json!({"kind": f.kind.code(), "blame": blame(f.kind), "filter": filter, "phase": f.phase, "text": shown(&f.text)})
        })
        .collect();
    if !faults.is_empty() {
        object["faults"] = faults.into();
    }
    if let Some(against) = seen.against.filter(|a| !a.found.is_empty()) {
        object["engines_disagree"] = against.found.lines(seen.secrets).into();
    }
    if !seen.playback.injected.is_empty() {
        let names = seen.playback.injected.iter().filter_map(|n| seen.injected.get(*n).cloned());
        object["injected"] = names.collect();
    }
    object
}

fn blame(kind: tamis_traffic::FaultKind) -> String {
    format!("{:?}", kind.blame()).to_lowercase()
}

fn counts(counts: &Counts) -> Value {
    let object: Map<String, Value> =
        Kind::ALL.into_iter().map(|k| (k.word().to_owned(), counts.of(k).into())).collect();
    object.into()
}

fn replayed(s: &Summary) -> Value {
    let filters: Vec<Value> = s
        .filters
        .iter()
        .map(|f| {
            let mut routes: Vec<_> = f.routes.iter().collect();
            routes.sort_by(|a, b| a.0.cmp(b.0));
            let routes: Vec<Value> = routes
                .into_iter()
                .map(|(name, c)| json!({"route": redact::show(name.as_bytes()).to_string(), "counts": counts(c)}))
                .collect();
            json!({"name": f.name, "counts": counts(&f.all()), "unreached": f.unreached, "fuel": f.fuel,
                "host_calls": f.host_calls, "routes": routes})
        })
        .collect();
    let faults: Vec<Value> = s
        .faults
        .iter()
        .map(|((kind, filter, phase), g)| {
            let filter = filter.and_then(|i| s.filters.get(i)).map(|f| f.name.as_str());
            json!({"kind": kind.code(), "blame": blame(*kind), "filter": filter, "phase": phase, "count": g.count,
                "first": {"number": g.number, "place": g.place, "text": g.text}})
        })
        .collect();
    let mut object = json!({
        "event": "replayed", "exchanges": s.exchanges, "verdicts": counts(&s.verdicts), "filters": filters,
        "faults": faults, "callouts": s.callouts, "unselected": s.unselected,
        "capture": tally(&s.tally, |p| s.files.place(p)),
        "seconds": s.seconds, "play_nanos": s.play_nanos, "interrupted": s.interrupted,
    });
    if s.engines.ran() {
        object["engines"] = s.engines.json();
    }
    if !s.injected.faults.is_empty() {
        object["injected"] = s.injected.json();
    }
    if let Some(coverage) = &s.coverage {
        object["coverage"] = coverage.json();
    }
    object
}

/// What became of the parts of a capture, as JSON.
pub(crate) fn tally(tally: &Tally, place: impl Fn(&tamis_traffic::Place) -> String) -> Value {
    let skipped: Vec<Value> = tally
        .skipped
        .iter()
        .map(|(why, s)| json!({"why": why.code(), "text": why.to_string(), "count": s.count, "first": place(&s.first)}))
        .collect();
    let gaps: Vec<Value> =
        tally.gaps.iter().map(|(gap, n)| json!({"gap": super::human::gap_word(*gap), "count": n})).collect();
    json!({"taken": tally.taken, "synthesised": tally.synthesised, "derived": tally.derived,
        "incomplete": tally.incomplete, "gaps": gaps, "skipped": skipped})
}

fn check(test: &TestDone) -> Value {
    let failures: Vec<Value> =
        test.failures.iter().map(|f| json!({"place": f.place, "text": f.text})).collect();
    json!({"event": "check", "file": test.file, "name": test.name, "exchanges": test.exchanges,
        "result": if test.passed() { "pass" } else { "fail" }, "failures": failures})
}
