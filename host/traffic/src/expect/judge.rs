//! One exchange against one expectation.

use super::check::{Check, Cost, Faults, LogsWanted, ReplyWanted, UpstreamWanted};
use super::matcher::{Comparison, FieldMatcher, Matcher};
use crate::compare::messages;
use crate::redact::{self, Secrets};
use crate::{Changes, Exchange, Half, Headers, Message, Outcome, Playback};
use std::fmt;

/// What was expected and what was seen instead. Secrets are taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Of what, for instance `reply status`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, saw {}", self.what, self.expected, self.seen)
    }
}

/// Appends what is not as expected.
pub(super) fn judge(check: &Check, exchange: &Exchange, playback: &Playback, out: &mut Vec<Mismatch>) {
    if let Some(wanted) = &check.faults {
        faults(wanted, playback, out);
    }
    if let Some(wanted) = &check.reply {
        reply(wanted, exchange, playback, out);
    }
    if let Some(wanted) = &check.upstream {
        upstream(wanted, exchange, playback, out);
    }
    if let Some(wanted) = check.closed {
        let word = |closed| if closed { "closed" } else { "not closed" };
        let closed = playback.outcome == Outcome::Reset;
        if closed != wanted {
            push(out, "stream", word(wanted), word(closed));
        }
    }
    cost(&check.cost, playback, out);
    if let Some(wanted) = &check.logs {
        logs(wanted, playback, out);
    }
}

fn push(out: &mut Vec<Mismatch>, what: &str, expected: impl Into<String>, seen: impl Into<String>) {
    out.push(Mismatch { what: what.to_owned(), expected: expected.into(), seen: seen.into() });
}

fn faults(wanted: &Faults, playback: &Playback, out: &mut Vec<Mismatch>) {
    let faults = &playback.faults;
    let injected = |fault: &crate::Fault| fault.kind.blame() == crate::Blame::Injection;
    let (ok, expected) = match wanted {
        // What was injected is nobody's fault; it may still be asked for by name.
        Faults::None => (faults.iter().all(injected), "none".to_owned()),
        Faults::Exactly(kinds) => {
            let ok = kinds.iter().all(|kind| faults.iter().any(|fault| fault.kind == *kind))
                && faults.iter().all(|fault| kinds.contains(&fault.kind) || injected(fault));
            (ok, kinds.iter().map(|kind| kind.code()).collect::<Vec<_>>().join(", "))
        }
    };
    if !ok {
        let seen = match faults.first() {
            None => "none".to_owned(),
            Some(_) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        };
        push(out, "faults", expected, seen);
    }
}

fn reply(wanted: &ReplyWanted, exchange: &Exchange, playback: &Playback, out: &mut Vec<Mismatch>) {
    let Some(reply) = playback.reply.get() else {
        let open = playback.outcome == Outcome::Open;
        // The capture has no response: nothing to be unlike.
        if !(open && *wanted == ReplyWanted::Recorded) {
            let seen = match playback.outcome {
                Outcome::Open => "none: the capture has no response",
                Outcome::Stuck => "none: the stream never went on",
                _ => "none: the connection was reset",
            };
            push(out, "reply", "one", seen);
        }
        return;
    };
    match wanted {
        ReplyWanted::Recorded => match exchange.response.get() {
            Some(recorded) => unchanged(Half::Response, recorded, reply, out),
            None if playback.outcome == Outcome::Open => {}
            None => push(
                out,
                "reply",
                "the recorded one",
                format!("{} where none was recorded", status_of(reply)),
            ),
        },
        ReplyWanted::Like { status, grpc_status, headers, trailers, body } => {
            let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
            if let Some(status) = status {
                compared("reply status", *status, number(reply.headers.text(":status")), out);
            }
            if let Some(status) = grpc_status {
                let seen = reply.trailers.get().and_then(|trailers| trailers.text("grpc-status"));
                let seen = seen.or_else(|| reply.headers.text("grpc-status"));
                compared("reply grpc-status", *status, number(seen), out);
            }
            matched("reply header", headers, &reply.headers, out);
            static NONE: Headers = Headers::new();
            matched("reply trailer", trailers, reply.trailers.get().unwrap_or(&NONE), out);
            body_matched("reply body", body.as_ref(), reply, out);
        }
    }
}

fn upstream(wanted: &UpstreamWanted, exchange: &Exchange, playback: &Playback, out: &mut Vec<Mismatch>) {
    match (wanted, playback.upstream.get()) {
        (UpstreamWanted::None, None) => {}
        (UpstreamWanted::None, Some(_)) => push(out, "upstream", "none", "the request reached it"),
        (_, None) => {
            let seen =
                playback.reply.get().map(|reply| format!("nothing: the reply was {}", status_of(reply)));
            push(out, "upstream", "a request", seen.unwrap_or_else(|| "nothing".into()));
        }
        (UpstreamWanted::Recorded, Some(request)) => match exchange.request.get() {
            Some(recorded) => unchanged(Half::Request, recorded, request, out),
            None => push(out, "upstream", "the recorded request", "one where none was recorded"),
        },
        (UpstreamWanted::Like { headers, body }, Some(request)) => {
            matched("upstream header", headers, &request.headers, out);
            body_matched("upstream body", body.as_ref(), request, out);
        }
    }
}

fn cost(wanted: &Cost, playback: &Playback, out: &mut Vec<Mismatch>) {
    let sum = |of: fn(&crate::Cost) -> u64| {
        playback.filters.iter().fold(0, |sum: u64, trace| sum.saturating_add(of(&trace.cost)))
    };
    let costs = [
        ("cost fuel", wanted.fuel, sum(|cost| cost.fuel)),
        ("cost host calls", wanted.host_calls, sum(|cost| cost.host_calls.into())),
        ("cost memory growth in bytes", wanted.memory_grown, sum(|cost| cost.memory_grown)),
    ];
    for (what, wanted, seen) in costs {
        if let Some(wanted) = wanted {
            compared(what, wanted, Some(seen), out);
        }
    }
}

fn logs(wanted: &LogsWanted, playback: &Playback, out: &mut Vec<Mismatch>) {
    let show = |bytes: &[u8]| redact::show(bytes).to_string();
    let find = |text: &[u8]| {
        let finder = memchr::memmem::Finder::new(text);
        playback.logs.iter().find(|log| finder.find(&log.text).is_some())
    };
    match wanted {
        LogsWanted::None => {
            if let Some(log) = playback.logs.first() {
                push(out, "logs", "none", show(&log.text));
            }
        }
        LogsWanted::Contains(text) if find(text).is_none() => {
            let seen = format!("{} lines without it", playback.logs.len());
            push(out, "logs", format!("a line with {}", show(text)), seen);
        }
        LogsWanted::Contains(_) => {}
        LogsWanted::Lacks(text) => {
            if let Some(log) = find(text) {
                push(out, "logs", format!("no line with {}", show(text)), show(&log.text));
            }
        }
    }
}

fn unchanged(half: Half, recorded: &Message, played: &Message, out: &mut Vec<Mismatch>) {
    let mut changes = Changes::default();
    messages(half, recorded, played, &mut changes);
    let what = if half == Half::Request { "upstream" } else { "reply" };
    out.extend(changes.iter().map(|change| Mismatch {
        what: what.to_owned(),
        expected: "as recorded".to_owned(),
        seen: change.to_string(),
    }));
}

fn compared(what: &str, wanted: Comparison, seen: Option<u64>, out: &mut Vec<Mismatch>) {
    if !seen.is_some_and(|seen| wanted.holds(seen)) {
        push(out, what, wanted.to_string(), seen.map_or_else(|| "none".to_owned(), |seen| seen.to_string()));
    }
}

fn matched(what: &str, wanted: &[FieldMatcher], headers: &Headers, out: &mut Vec<Mismatch>) {
    for FieldMatcher { name, matcher } in wanted {
        let name = name.as_bytes();
        if matcher.holds(headers.get_all(name)) {
            continue;
        }
        let show = |value: &[u8]| redact::value(name, value, Secrets::Redact).to_string();
        let seen: Vec<_> = headers.get_all(name).map(show).collect();
        let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(" and ") };
        push(out, &format!("{what} {}", redact::show(name)), matcher.describe(show), seen);
    }
}

fn body_matched(what: &str, wanted: Option<&Matcher>, message: &Message, out: &mut Vec<Mismatch>) {
    let Some(matcher) = wanted else { return };
    let body = message.body.bytes.as_slice();
    // For a body, to be there is to have bytes; an empty exact body is one without.
    let there = !body.is_empty() || !matches!(matcher, Matcher::Present | Matcher::Absent);
    if !matcher.holds(there.then_some(body).into_iter()) {
        push(
            out,
            what,
            matcher.describe(|bytes| redact::show(bytes).to_string()),
            redact::show(body).to_string(),
        );
    }
}

fn status_of(reply: &Message) -> String {
    let status = reply.headers.get(b":status").unwrap_or(b"one without a status");
    redact::show(status).to_string()
}
