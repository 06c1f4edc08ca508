//! For people.

use super::summary::{Counts, FilterSum, Summary};
use super::table::{cell, cut, number, table};
use super::{Event, Sink, TestDone};
use crate::ui::{Paint, Tone};
use std::fmt::Write as _;
use std::io::{self, Write};
use tamis_traffic::{Gap, Kind, Tally};

/// Rows of one table of routes; the rest is summed up. More would push the totals off the screen.
const ROUTES_SHOWN: usize = 12;

/// Lines of changes that are shown of one exchange.
const CHANGES_SHOWN: usize = 8;

/// Characters of a route that are shown.
const ROUTE_WIDTH: usize = 56;

/// Writes text.
pub struct Human<W> {
    out: W,
    paint: Paint,
}

impl<W: Write> Human<W> {
    /// Writes to `out`.
    pub fn new(out: W, paint: Paint) -> Self {
        Self { out, paint }
    }
}

impl<W: Write> Sink for Human<W> {
    fn on(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Start { .. } | Event::Exchange(_) => Ok(()),
            Event::Replayed(summary) => self.replayed(summary),
            Event::Test(test) => self.test(test),
            Event::Tested(totals) => {
                let word = if totals.failed == 0 { Tone::Good } else { Tone::Bad };
                let line = format!(
                    "{}: {} passed, {} failed{}  ({:.2} s)",
                    plural(totals.files, "traffic test"),
                    totals.passed,
                    totals.failed,
                    if totals.interrupted { ", interrupted" } else { "" },
                    totals.seconds
                );
                writeln!(self.out, "\n{}", self.paint.tone(word, &line))
            }
        }?;
        self.out.flush()
    }
}

impl<W: Write> Human<W> {
    fn test(&mut self, test: &TestDone) -> io::Result<()> {
        let (tone, word) = if test.passed() { (Tone::Good, "PASS") } else { (Tone::Bad, "FAIL") };
        let word = self.paint.tone(tone, &format!("{word:>12}"));
        let name =
            if test.name.is_empty() { test.file.clone() } else { format!("{} · {}", test.file, test.name) };
        writeln!(self.out, "{word} {name}  ({})", plural(test.exchanges, "exchange"))?;
        for failure in &test.failures {
            if !failure.place.is_empty() {
                writeln!(self.out, "{:>15}{}", "", self.paint.tone(Tone::Faint, &failure.place))?;
            }
            for line in failure.text.lines() {
                writeln!(self.out, "{:>17}{line}", "")?;
            }
        }
        Ok(())
    }

    fn replayed(&mut self, s: &Summary) -> io::Result<()> {
        let mut text = String::new();
        for (i, filter) in s.filters.iter().enumerate() {
            self.filter(&mut text, i, filter, s);
        }
        self.differences(&mut text, s);
        self.faults(&mut text, s);
        if s.engines.differing > 0 {
            let title = self.paint.tone(Tone::Bad, "engines disagree");
            let _ = writeln!(text, "{title}  (wasmtime -> Envoy)\n{}", s.engines.human());
        }
        if !s.injected.faults.is_empty() {
            let title = self.paint.tone(Tone::Strong, "injected faults");
            let _ = writeln!(text, "{title}  (clients, against the same replay without them)");
            let _ = writeln!(text, "{}", s.injected.human());
        }
        let strong = |t: &str| self.paint.tone(Tone::Strong, t);
        let chain: Vec<_> = s.filters.iter().map(|f| f.name.as_str()).collect();
        let verdicts: Vec<String> = Kind::ALL
            .into_iter()
            .filter(|k| s.verdicts.of(*k) > 0)
            .map(|k| format!("{} {k}", number(s.verdicts.of(k))))
            .collect();
        let _ = writeln!(
            text,
            "{}  {}",
            strong("chain   "),
            if chain.is_empty() { "no filter".to_owned() } else { chain.join(" → ") }
        );
        let _ = writeln!(
            text,
            "{}  {} played: {}{}",
            strong("verdict "),
            number(s.exchanges),
            if verdicts.is_empty() { "none".to_owned() } else { verdicts.join(", ") },
            if s.interrupted { ", interrupted" } else { "" }
        );
        let _ = writeln!(text, "{}  {}", strong("capture "), tally_line(&s.tally, s.unselected));
        for line in tally_details(&s.tally, |place| s.files.place(place)) {
            let _ = writeln!(text, "          {line}");
        }
        if s.callouts > 0 {
            let _ = writeln!(text, "{}  {}", strong("callouts"), number(s.callouts));
        }
        if s.engines.ran() {
            let _ = writeln!(text, "{}  {}", strong("engines "), s.engines.line());
        }
        if let Some(coverage) = &s.coverage {
            let _ = writeln!(text, "{}  {}", strong("coverage"), coverage.line());
        }
        let _ = writeln!(text, "{}  {}", strong("cost    "), cost_line(s));
        self.out.write_all(text.as_bytes())
    }

    fn filter(&self, text: &mut String, index: usize, filter: &FilterSum, s: &Summary) {
        let title = format!("filter {}", filter.name);
        let place = if s.filters.len() > 1 {
            format!("  ({} of {})", index + 1, s.filters.len())
        } else {
            String::new()
        };
        let _ = writeln!(text, "{}{place}", self.paint.tone(Tone::Strong, &title));
        let mut routes: Vec<(&String, &Counts)> = filter.routes.iter().collect();
        routes.sort_by(|a, b| b.1.total().cmp(&a.1.total()).then(a.0.cmp(b.0)));
        let mut head = vec!["route", "exchanges", "unchanged", "changed", "answered", "broke"];
        let mut kinds = vec![Kind::Forwarded, Kind::Changed, Kind::Answered, Kind::Broke];
        // Only injected faults leave a filter so.
        if filter.all().of(Kind::Unclear) > 0 {
            head.push("injected");
            kinds.push(Kind::Unclear);
        }
        let row = |name: &str, c: &Counts| -> Vec<String> {
            let mut row = vec![
                cut(&tamis_traffic::redact::show(name.as_bytes()).to_string(), ROUTE_WIDTH),
                cell(c.total()),
            ];
            row.extend(kinds.iter().map(|k| cell(c.of(*k))));
            row
        };
        let mut rows: Vec<_> = routes.iter().take(ROUTES_SHOWN).map(|(name, c)| row(name, c)).collect();
        let mut rest = Counts::default();
        routes.iter().skip(ROUTES_SHOWN).for_each(|(_, c)| rest.merge(**c));
        if rest.total() > 0 {
            rows.push(row(&format!("({} more routes)", routes.len() - ROUTES_SHOWN), &rest));
        }
        if routes.len() > 1 {
            rows.push(row("all", &filter.all()));
        }
        text.push_str(&table(&head, &rows));
        if filter.unreached > 0 {
            let _ = writeln!(text, "  {} did not reach it", plural(filter.unreached, "exchange"));
        }
        text.push('\n');
    }

    fn differences(&self, text: &mut String, s: &Summary) {
        if s.differences.is_empty() {
            return;
        }
        let title = format!("differences ({} of {} exchanges)", number(s.differing), number(s.exchanges));
        let _ = writeln!(text, "{}", self.paint.tone(Tone::Strong, &title));
        for d in &s.differences {
            let place = self.paint.tone(Tone::Faint, &d.place);
            let _ = writeln!(text, "  #{} {}  {place}", d.number, cut(&d.route, ROUTE_WIDTH));
            let same = if d.same > 1 {
                format!("  (and {} more like it)", number(d.same - 1))
            } else {
                String::new()
            };
            let _ = writeln!(text, "      {}{same}", d.verdict);
            for change in d.changes.iter().take(CHANGES_SHOWN) {
                let _ = writeln!(text, "      {change}");
            }
            if d.changes.len() > CHANGES_SHOWN {
                let _ = writeln!(text, "      and {} more changes", d.changes.len() - CHANGES_SHOWN);
            }
        }
        let shown: u64 = s.differences.iter().map(|d| d.same).sum();
        if s.differing > shown {
            let _ = writeln!(
                text,
                "  {} differ in other ways; `--show N` shows more",
                number(s.differing - shown)
            );
        }
        text.push('\n');
    }

    fn faults(&self, text: &mut String, s: &Summary) {
        if s.faults.is_empty() {
            return;
        }
        let _ = writeln!(text, "{}", self.paint.tone(Tone::Strong, "faults"));
        for ((kind, filter, phase), group) in &s.faults {
            let code = self.paint.tone(Tone::Bad, kind.code());
            let name = filter.and_then(|i| s.filters.get(i)).map_or("host", |f| f.name.as_str());
            let _ = writeln!(
                text,
                "  {code} ×{}  {name}, in `{phase}`: {}",
                number(group.count),
                cut(&group.text, 200)
            );
            let _ = writeln!(
                text,
                "      first at #{} {}",
                group.number,
                self.paint.tone(Tone::Faint, &group.place)
            );
        }
        let _ = writeln!(text, "  `tamis explain CODE` says more\n");
    }
}

fn cost_line(s: &Summary) -> String {
    if s.exchanges == 0 {
        return "nothing played".to_owned();
    }
    let n = s.exchanges as f64;
    let mut line = format!(
        "{} exchanges/s, {:.2} s in all; {} ns for one exchange in the chain",
        number((n / s.seconds.max(1e-9)) as u64),
        s.seconds,
        number(s.play_nanos / s.exchanges)
    );
    let fuel: Vec<String> = s
        .filters
        .iter()
        // Envoy counts none.
        .filter(|f| f.fuel > 0)
        .map(|f| {
            format!(
                "{} {} fuel, {:.1} host calls",
                f.name,
                number(f.fuel / s.exchanges),
                f.host_calls as f64 / n
            )
        })
        .collect();
    if s.coverage.is_some() {
        line.push_str("; with counters built in, so fuel says nothing");
    } else if !fuel.is_empty() {
        let _ = write!(line, "\n          per exchange: {}", fuel.join("; "));
    }
    line
}

/// One line: what became of the parts of a capture.
pub(crate) fn tally_line(tally: &Tally, unselected: u64) -> String {
    let mut line = format!("{} taken", number(tally.taken));
    for (count, word) in [
        (unselected, "not selected"),
        (tally.synthesised, "synthesised from log lines"),
        (tally.derived, "with restored parts"),
        (tally.incomplete, "incomplete"),
        (tally.skipped_total(), "skipped"),
    ] {
        if count > 0 {
            let _ = write!(line, ", {} {word}", number(count));
        }
    }
    line
}

/// Lines: which gaps, and why parts were skipped, with the first place.
pub(crate) fn tally_details(tally: &Tally, place: impl Fn(&tamis_traffic::Place) -> String) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if !tally.gaps.is_empty() {
        let gaps: Vec<_> =
            tally.gaps.iter().map(|(gap, n)| format!("{} {}", number(*n), gap_word(*gap))).collect();
        lines.push(format!("incomplete: {}", gaps.join(", ")));
    }
    for (why, skipped) in &tally.skipped {
        lines.push(format!("skipped {}: {why}, first at {}", number(skipped.count), place(&skipped.first)));
    }
    lines
}

/// What is missing, in words.
pub(crate) fn gap_word(gap: Gap) -> &'static str {
    match gap {
        Gap::NoRequest => "without request",
        Gap::NoResponse => "without response",
        Gap::RequestBodyCut => "with a cut request body",
        Gap::ResponseBodyCut => "with a cut response body",
        Gap::Unfinished => "not finished when the recording was",
        Gap::LateHeaders => "with headers as later filters left them",
    }
}

/// `1 exchange`, `2 exchanges`.
pub(crate) fn plural(n: u64, word: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {word}{s}", number(n))
}
