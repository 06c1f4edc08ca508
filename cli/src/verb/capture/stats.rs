//! `tamis capture stats`.

use super::walk;
use crate::args::CaptureArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::report::{counts_table, tally_details, tally_json, tally_line};
use crate::ui::{Tone, Ui};
use serde_json::json;
use std::collections::HashMap;
use tamis_traffic::{Exchange, Protocol, redact, route_into};

/// Different values that are told apart of each sort; what comes after counts as `(others)`.
const MAX_VALUES: usize = 10_000;

/// Rows on screen of each sort.
const ROWS: usize = 15;

#[derive(Default)]
struct Count(HashMap<String, u64>);

impl Count {
    fn add(&mut self, value: &str) {
        if let Some(n) = self.0.get_mut(value) {
            *n += 1;
        } else {
            let value = if self.0.len() < MAX_VALUES { value } else { "(others)" };
            *self.0.entry(value.to_owned()).or_default() += 1;
        }
    }

    fn sorted(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> =
            self.0.iter().map(|(value, n)| (redact::show(value.as_bytes()).to_string(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }
}

#[derive(Default)]
struct Stats {
    hosts: Count,
    routes: Count,
    statuses: Count,
    grpc: Count,
    protocols: Count,
    first: Option<u64>,
    last: Option<u64>,
    request_bytes: u64,
    response_bytes: u64,
    route: String,
}

impl Stats {
    fn add(&mut self, exchange: &Exchange) {
        let request = exchange.request.get();
        let response = exchange.response.get();
        let host = request.and_then(|r| r.headers.get(b":authority").or_else(|| r.headers.get(b"host")));
        self.hosts.add(&host.map_or("(none)".into(), String::from_utf8_lossy));
        route_into(exchange, &mut self.route);
        self.routes.add(&self.route);
        self.statuses.add(&exchange.status().map_or_else(|| "(none)".to_owned(), |s| s.to_string()));
        if let Some(status) = response.and_then(|r| {
            r.trailers.get().and_then(|t| t.get(b"grpc-status")).or_else(|| r.headers.get(b"grpc-status"))
        }) {
            self.grpc.add(&String::from_utf8_lossy(status));
        }
        self.protocols.add(protocol(exchange.protocol));
        self.first = [self.first, exchange.started].into_iter().flatten().min();
        self.last = [self.last, exchange.started].into_iter().flatten().max();
        self.request_bytes += request.map_or(0, |r| r.body.length.unwrap_or(r.body.bytes.len() as u64));
        self.response_bytes += response.map_or(0, |r| r.body.length.unwrap_or(r.body.bytes.len() as u64));
    }

    fn sorts(&self) -> [(&'static str, &'static str, &Count); 5] {
        [
            ("hosts", "host", &self.hosts),
            ("routes", "route", &self.routes),
            ("statuses", "status", &self.statuses),
            ("grpc_statuses", "grpc-status", &self.grpc),
            ("protocols", "protocol", &self.protocols),
        ]
    }
}

/// The name of a protocol as `request.protocol` has it.
pub(super) fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Unknown => "not recorded",
        Protocol::Http10 => "HTTP/1.0",
        Protocol::Http11 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
        Protocol::Http3 => "HTTP/3",
    }
}

pub(super) fn run(args: &CaptureArgs, ui: &mut Ui) -> Result<Exit> {
    let mut stats = Stats::default();
    let walked = walk(args, |exchange, _| {
        stats.add(exchange);
        Ok(())
    })?;
    let tally = walked.reader.tally();
    let place = |p: &tamis_traffic::Place| walked.files.place(p);
    let time = |nanos: Option<u64>| nanos.map(crate::time::show);
    if ui.json() {
        let mut line = json!({
            "event": "stats", "exchanges": walked.taken, "unselected": walked.unselected,
            "first": time(stats.first), "last": time(stats.last),
            "request_body_bytes": stats.request_bytes, "response_body_bytes": stats.response_bytes,
            "capture": tally_json(tally, place),
        });
        for (name, _, count) in stats.sorts() {
            line[name] =
                count.sorted().into_iter().map(|(value, n)| json!({"value": value, "count": n})).collect();
        }
        ui.json_line(&line)?;
        return walked.exit();
    }
    let paint = ui.paint();
    let mut text = String::new();
    for (_, title, count) in stats.sorts() {
        let all = count.sorted();
        if !all.is_empty() {
            text.push_str(&counts_table(title, &all, ROWS));
            text.push('\n');
        }
    }
    let strong = |t: &str| paint.tone(Tone::Strong, t);
    if let (Some(first), Some(last)) = (time(stats.first), time(stats.last)) {
        text.push_str(&format!("{}  {first} to {last}\n", strong("time    ")));
    }
    text.push_str(&format!(
        "{}  requests {} bytes, responses {} bytes\n",
        strong("bodies  "),
        stats.request_bytes,
        stats.response_bytes
    ));
    text.push_str(&format!("{}  {}\n", strong("capture "), tally_line(tally, walked.unselected)));
    for line in tally_details(tally, place) {
        text.push_str(&format!("          {line}\n"));
    }
    ui.data(&text)?;
    walked.exit()
}
