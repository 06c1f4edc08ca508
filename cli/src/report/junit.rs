//! JUnit XML, as CI systems read it: a suite for each test file, or one for a replay with a case for each
//! filter and route.

use super::summary::Summary;
use super::{Event, Sink, TestDone};
use std::fmt::Write as _;
use std::io::{self, Write};
use tamis_traffic::{Blame, Kind};

/// Gathers cases and writes them at the end: the head of the file holds the totals.
pub struct Junit<W> {
    out: W,
    suites: Vec<Suite>,
}

struct Suite {
    name: String,
    cases: Vec<Case>,
    seconds: f64,
}

struct Case {
    name: String,
    /// Kind and text of what went wrong.
    failure: Option<(String, String)>,
}

impl<W: Write> Junit<W> {
    /// Writes to `out` when finished.
    pub fn new(out: W) -> Self {
        Self { out, suites: Vec::new() }
    }

    fn test(&mut self, test: &TestDone) {
        if self.suites.last().is_none_or(|s| s.name != test.file) {
            self.suites.push(Suite { name: test.file.clone(), cases: Vec::new(), seconds: 0.0 });
        }
        let failure = (!test.passed()).then(|| {
            let lines: Vec<String> =
                test.failures.iter().map(|f| format!("{}\n{}", f.place, f.text)).collect();
            ("expectation".to_owned(), lines.join("\n"))
        });
        let name = if test.name.is_empty() { "the test can run".to_owned() } else { test.name.clone() };
        if let Some(suite) = self.suites.last_mut() {
            suite.cases.push(Case { name, failure });
            suite.seconds += test.seconds;
        }
    }

    fn replay(&mut self, s: &Summary) {
        let mut cases = Vec::new();
        for (index, filter) in s.filters.iter().enumerate() {
            let mut routes: Vec<_> = filter.routes.iter().collect();
            routes.sort_by(|a, b| a.0.cmp(b.0));
            for (route, counts) in routes {
                let broke = counts.of(Kind::Broke);
                let failure = (broke > 0).then(|| {
                    let mut text = format!("{broke} of {} exchanges broke\n", counts.total());
                    for ((kind, of, phase), group) in &s.faults {
                        if *of == Some(index) && kind.blame() == Blame::Filter {
                            let _ = writeln!(
                                text,
                                "{} in {phase}, first at {}: {}",
                                kind.code(),
                                group.place,
                                group.text
                            );
                        }
                    }
                    ("broke".to_owned(), text)
                });
                cases.push(Case { name: format!("{} {route}", filter.name), failure });
            }
        }
        if s.engines.ran() {
            let text = || format!("{}\n{}", s.engines.line(), s.engines.human());
            let failure = (s.engines.differing > 0).then(|| ("engines-disagree".to_owned(), text()));
            cases.push(Case { name: "wasmtime and Envoy agree".to_owned(), failure });
        }
        self.suites.push(Suite { name: "replay".to_owned(), cases, seconds: s.seconds });
    }
}

impl<W: Write> Sink for Junit<W> {
    fn on(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Test(test) => self.test(test),
            Event::Replayed(summary) => self.replay(summary),
            Event::Start { .. } | Event::Exchange(_) | Event::Tested(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let failed = |s: &Suite| s.cases.iter().filter(|c| c.failure.is_some()).count();
        let tests: usize = self.suites.iter().map(|s| s.cases.len()).sum();
        let failures: usize = self.suites.iter().map(failed).sum();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(xml, "<testsuites name=\"tamis\" tests=\"{tests}\" failures=\"{failures}\">");
        for suite in &self.suites {
            let _ = writeln!(
                xml,
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{:.3}\">",
                escape(&suite.name),
                suite.cases.len(),
                failed(suite),
                suite.seconds
            );
            for case in &suite.cases {
                let head = format!(
                    "    <testcase classname=\"{}\" name=\"{}\"",
                    escape(&suite.name),
                    escape(&case.name)
                );
                match &case.failure {
                    None => xml.push_str(&format!("{head}/>\n")),
                    Some((kind, text)) => {
                        let first = text.lines().find(|l| !l.is_empty()).unwrap_or_default();
                        let _ = writeln!(
                            xml,
                            "{head}>\n      <failure type=\"{kind}\" message=\"{}\">{}</failure>\n    </testcase>",
                            escape(first),
                            escape(text)
                        );
                    }
                }
            }
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        self.out.write_all(xml.as_bytes())?;
        self.out.flush()
    }
}

/// Text for XML 1.0: five characters as entities, and what XML cannot hold as U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Failed;
    use super::*;

    #[test]
    fn a_failure_is_counted_and_escaped() {
        let mut out = Vec::new();
        let mut junit = Junit::new(&mut out);
        let mut done = TestDone {
            file: "a.yaml".into(),
            name: "x < y".into(),
            exchanges: 1,
            failures: vec![],
            seconds: 0.5,
        };
        junit.on(&Event::Test(&done)).unwrap();
        done.failures.push(Failed { place: String::new(), text: "want \"1\" & got \u{1b}[m".into() });
        junit.on(&Event::Test(&done)).unwrap();
        junit.finish().unwrap();
        let xml = String::from_utf8(out).unwrap();
        assert!(xml.contains("<testsuites name=\"tamis\" tests=\"2\" failures=\"1\">"), "{xml}");
        assert!(
            xml.contains("name=\"x &lt; y\"") && xml.contains("want &quot;1&quot; &amp; got \u{fffd}[m"),
            "{xml}"
        );
    }
}
