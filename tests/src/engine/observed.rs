//! What was observed while a row was played, made comparable.
//!
//! What is taken off, and why:
//! - `connection`, `keep-alive`, `transfer-encoding`, `proxy-connection` on the wire: they frame one
//!   connection, and the host has none;
//! - `date` of the answer, on the wire and in `proxy_on_log`: Envoy writes the time;
//! - the value of `x-envoy-upstream-service-time` in answers of callouts: milliseconds;
//! - `content-length: 0` on the wire: the HTTP/1 codec writes it where a message ends with its headers;
//! - `x-envoy-internal` and `x-envoy-expected-rq-timeout-ms` of callouts: Envoy's async client adds them
//!   after the filter;
//! - `grpc-timeout` of callouts of the client `google_grpc`: what is left of it when they go out;
//! - white space around a value on the wire: it is no part of the value there;
//! - trailers behind a body with a content-length over HTTP/1, which has no room for them;
//! - the order of fields of different names over HTTP/2: fields of one name stand together;
//! - the missing end of a body on the upstream side: a playback says how it ended for the client only;
//! - log lines of Envoy's main thread: the canary VM and the main thread's own VM run `configure` and ticks
//!   too, the host plays the worker's VM;
//! - values of the properties in `OWN_TO_A_RUN`, each for the reason that stands there;
//! - numbers of stream contexts: they are counted from 1 per filter in order of appearance, since an Envoy
//!   that has served other rows is further on.

use crate::peer::{CUT, Seen};
use std::collections::BTreeMap;
use std::fmt::Write;

/// All that is compared.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Log lines of the guests, in order.
    pub log: Vec<String>,
    /// What the upstream got, request after request.
    pub upstream: Vec<Seen>,
    /// What the clusters of callouts got.
    pub callouts: BTreeMap<String, Vec<Seen>>,
    /// What the client got, exchange after exchange.
    pub client: Vec<Seen>,
    /// How many of these there were after each exchange. Not part of the text.
    pub reached: Vec<usize>,
    /// Whether all of an exchange's request is sure to have left. Known to our host, not part of the text.
    pub whole: Vec<bool>,
    /// Codes of the faults that our host reported. Not part of the text.
    pub faults: Vec<String>,
}

impl Observed {
    /// One text for comparison, for people and for the file that holds what is expected.
    pub fn text(&self) -> String {
        let mut text = String::from("log\n");
        for line in number_streams(&self.log) {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "  {}", without_own_values(without_times(&line)));
        }
        let mut part = |title: &str, seen: &[Seen], drop: &[&str]| {
            for one in seen {
                let mut one = one.clone();
                let codec = |name: &str, value: &[u8]| name == "content-length" && value == b"0";
                if title == "upstream" {
                    one.odd.retain(|o| o != CUT);
                }
                if one.headers.iter().any(|(_, value)| value.starts_with(b"grpc-c++")) {
                    one.headers.retain(|(name, _)| name != "grpc-timeout");
                }
                one.headers.retain(|(name, value)| !drop.contains(&name.as_str()) && !codec(name, value));
                let _ = writeln!(text, "{title}: {}", one.show().join("\n"));
            }
        };
        part("upstream", &self.upstream, &[]);
        for (cluster, seen) in &self.callouts {
            part(cluster, seen, &["x-envoy-internal", "x-envoy-expected-rq-timeout-ms"]);
        }
        part("client", &self.client, &["date"]);
        text
    }
}

/// Properties whose values no two runs share, and why. That they are there is compared.
const OWN_TO_A_RUN: [(&str, &str); 10] = [
    ("request.time", "when the request came"),
    ("request.duration", "how long it took"),
    ("source.address", "the kernel picks the client's port"),
    ("source.port", "the kernel picks the client's port"),
    ("destination.address", "the kernel picks the listener's port"),
    ("destination.port", "the kernel picks the listener's port"),
    ("connection.id", "an Envoy counts all its connections"),
    ("connection_id", "an Envoy counts all its connections"),
    ("upstream.address", "the kernel picks the upstream's port"),
    ("upstream.port", "the kernel picks the upstream's port"),
];

/// Blanks the value in `a/1   request.time = "…"`.
fn without_own_values(line: String) -> String {
    for (name, _) in OWN_TO_A_RUN {
        if let Some((who, _)) = line.split_once(&format!("   {name} = ")) {
            return format!("{who}   {name} = …");
        }
    }
    line
}

/// Drops `date` and blanks the duration in a list of headers.
fn without_times(line: &str) -> String {
    let mut line = line.to_owned();
    for (date, lead) in [(", date=", ""), ("[date=", "[")] {
        if let Some((before, rest)) = line.split_once(date)
            && let Some((_, after)) = rest.split_once(" GMT")
        {
            let after = if lead.is_empty() { after } else { after.trim_start_matches(", ") };
            line = format!("{before}{lead}{after}");
        }
    }
    let took = "x-envoy-upstream-service-time=";
    if let Some((before, rest)) = line.split_once(took) {
        line = format!("{before}{took}…{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    line
}

/// `a/17 rqh …` becomes `a/1 rqh …` when 17 is the first stream of `a`.
fn number_streams(log: &[String]) -> Vec<String> {
    let mut known: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let renumber = |line| {
        let (who, rest) = str::split_once(line, ' ').unwrap_or((line, ""));
        let Some((name, id)) = who.split_once('/').filter(|(_, id)| *id != "root") else {
            return line.to_owned();
        };
        let ids = known.entry(name).or_default();
        let at = ids.iter().position(|i| *i == id).unwrap_or_else(|| {
            ids.push(id);
            ids.len() - 1
        });
        format!("{name}/{} {rest}", at + 1)
    };
    log.iter().map(String::as_str).map(renumber).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_dropped_wherever_it_stands() {
        let line = |text: &str| without_times(text);
        let date = "date=Tue, 14 Nov 2023 22:13:20 GMT";
        assert_eq!(line(&format!("pairs 2 -> 0 [a=1, {date}, b=2]")), "pairs 2 -> 0 [a=1, b=2]");
        assert_eq!(line(&format!("pairs 2 -> 0 [{date}, b=2]")), "pairs 2 -> 0 [b=2]");
        assert_eq!(line(&format!("pairs 2 -> 0 [{date}]")), "pairs 2 -> 0 []");
    }

    #[test]
    fn values_of_one_run_are_blanked_where_they_are_dumped() {
        let line = |text: &str| without_own_values(text.into());
        assert_eq!(line("a/1   source.port = \"x\""), "a/1   source.port = …");
        assert_eq!(line("a/1   1: source.port"), "a/1   1: source.port");
        assert_eq!(line("a/1   request.size = \"x\""), "a/1   request.size = \"x\"");
    }

    #[test]
    fn streams_are_counted_per_filter_and_roots_stay() {
        let log = ["a/root conf", "a/7 create", "b/9 create", "a/8 create", "a/7 rqh n=1"].map(String::from);
        assert_eq!(
            number_streams(&log),
            ["a/root conf", "a/1 create", "b/1 create", "a/2 create", "a/1 rqh n=1"]
        );
    }
}
