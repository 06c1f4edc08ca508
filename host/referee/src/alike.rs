//! Whether two engines did the same with an exchange: the test host's playback against Envoy's.
//!
//! [`NORMALISED`] lists everything that is not compared, with the reason. What is left and differs is a
//! disagreement: a bug of the test host, or a fact about Envoy that belongs into the list or docs/envoy.md.

use std::fmt;
use tamis_traffic::redact::Secrets;
use tamis_traffic::{Blame, Callout, Changes, FaultKind, Half, Outcome, Playback, compare_playbacks};

/// Something that is not compared.
#[derive(Debug, Clone, Copy)]
pub struct Normalised {
    /// What.
    pub what: &'static str,
    /// Why.
    pub reason: &'static str,
}

const fn skip(what: &'static str, reason: &'static str) -> Normalised {
    Normalised { what, reason }
}

/// All that is not compared. Beside it, fields of responses in [`tamis_traffic::compare::NOISE`] (`date`, `server`, ids, what
/// belongs to one connection) and the order of fields of different names do not count, as in every verdict.
pub const NORMALISED: &[Normalised] = &[
    skip(
        "time, addresses, ports, protocol, names of cluster and route",
        "the test host plays the exchange in the world in which Envoy played it (`Referee::relive`)",
    ),
    skip("pieces of a body", "reads of a socket cut it anew"),
    skip(
        "log lines",
        "they name context ids and times, and ticks of a real clock fall between other exchanges; the \
        conformance suite compares them row by row",
    ),
    skip(
        "order, `content-length` and `x-envoy-*` of a callout's headers, and its trailers",
        "codecs put them in order, and Envoy adds the others",
    ),
    skip("cost", "Envoy counts no fuel and no host calls"),
    skip(
        "texts, phases and filters of faults",
        "each engine has its own words; of a chain Envoy does not always say which filter it was",
    ),
    skip(
        "`out-of-fuel`, `out-of-memory`, `trap` and `dead-vm` among each other",
        "a real VM has no fuel and hangs instead, or traps; whether it died now or before is in the log only",
    ),
    skip(
        "`would-duplicate`",
        "Envoy sends the duplicate without a word; what it does to the exchange is compared",
    ),
    skip(
        "the messages of an exchange that both engines call broken for a wrong `content-length`",
        "what arrives then is up to the peers' patience",
    ),
    skip(
        "the body of a request that was answered or broke off on its way",
        "how much of it the upstream had by then is a matter of microseconds",
    ),
    skip(
        "what a client that leaves has of its response by then",
        "it does not read any more; that it left before the end is compared",
    ),
    skip(
        "who answered, for replies from a body phase of a chain",
        "header lists do not tell how far a body came",
    ),
    skip(
        "exchanges that one of the engines cannot judge",
        "a callout that nobody answers, or something that it does not support, is reported already",
    ),
];

/// How two playbacks of one exchange differ; `wasmtime -> envoy` in every line.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Disagreement {
    /// Messages.
    pub changes: Changes,
    /// Everything else, a line each.
    pub other: Vec<String>,
}

impl Disagreement {
    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.other.is_empty()
    }

    /// A line for each difference.
    pub fn lines(&self, secrets: Secrets) -> Vec<String> {
        let changes = self.changes.iter().map(|c| c.display(secrets).to_string());
        self.other.iter().cloned().chain(changes).collect()
    }
}

/// True when both playbacks say enough to be held against each other.
pub fn comparable(ours: &Playback, envoys: &Playback) -> bool {
    let mut faults = ours.faults.iter().chain(&envoys.faults);
    faults.all(|fault| matches!(fault.kind.blame(), Blame::Filter | Blame::Injection))
}

/// Where the playback of the test host and that of Envoy differ; nothing when [`comparable`] says no.
pub fn compare(ours: &Playback, envoys: &Playback) -> Disagreement {
    let mut found = Disagreement::default();
    if !comparable(ours, envoys) {
        return found;
    }
    let mut differ = |what: &str, ours: &dyn fmt::Display, envoys: &dyn fmt::Display| {
        found.other.push(format!("{what}: {ours} -> {envoys}"));
    };
    let (mine, theirs) = (faults(ours), faults(envoys));
    if mine != theirs {
        differ("faults", &list(&mine), &list(&theirs));
    }
    if mine == theirs && mine.contains(&FaultKind::BodyLength.code()) {
        return found;
    }
    if !same_outcome(ours, envoys) {
        differ("outcome", &outcome(ours.outcome), &outcome(envoys.outcome));
    } else if matches!(ours.outcome, Outcome::Answered(_)) && ours.details != envoys.details {
        differ("details", &ours.details.escape_debug(), &envoys.details.escape_debug());
    }
    let calls = |playback: &Playback| -> Vec<String> {
        let path = |c: &Callout| {
            let path = c.request.headers.get(b":path").unwrap_or_default().escape_ascii().to_string();
            format!("{}{path} ({} bytes)", c.cluster, c.request.body.bytes.len())
        };
        playback.callouts.iter().map(path).collect()
    };
    let (mine, theirs) = (started(ours, &calls(ours)), calls(envoys));
    if mine != theirs {
        differ("callouts", &list(&mine), &list(&theirs));
    } else {
        let began = ours.callouts.iter().filter(|callout| callout.token != 0);
        for (mine, theirs) in began.zip(&envoys.callouts) {
            let (here, there) = (only(mine, theirs), only(theirs, mine));
            if !here.is_empty() || !there.is_empty() {
                differ("fields of a callout", &list(&here), &list(&there));
            }
        }
    }
    let mut changes = Changes::default();
    compare_playbacks(ours, envoys, &mut changes);
    let through = matches!(ours.outcome, Outcome::Forwarded | Outcome::Open);
    let left = left_early(ours);
    let counts = |half: Half, label: &str| match half {
        Half::Request => through || label != "body",
        Half::Response => !left,
    };
    for change in changes.iter().filter(|c| counts(c.half(), c.label())) {
        found.changes.push(change);
    }
    found
}

/// Names of the fields that one call has and the other has not, or not so often. Values may be secrets.
fn only(one: &Callout, other: &Callout) -> Vec<String> {
    let mut rest: Vec<_> = other.request.headers.iter().collect();
    let mut names = Vec::new();
    for field in one.request.headers.iter().filter(|(name, _)| *name != b"content-length") {
        match rest.iter().position(|known| *known == field) {
            Some(at) => drop(rest.swap_remove(at)),
            None => names.push(field.0.escape_ascii().to_string()),
        }
    }
    names
}

fn left_early(playback: &Playback) -> bool {
    playback.faults.iter().any(|fault| fault.kind == FaultKind::ClientAbort)
}

/// Callouts that could start; the others never left the proxy.
fn started(playback: &Playback, calls: &[String]) -> Vec<String> {
    let began = playback.callouts.iter().zip(calls).filter(|(callout, _)| callout.token != 0);
    began.map(|(_, call)| call.clone()).collect()
}

/// The kinds of faults that both engines can see, each once.
fn faults(playback: &Playback) -> Vec<&'static str> {
    let kind = |kind: FaultKind| match kind {
        FaultKind::OutOfFuel | FaultKind::OutOfMemory | FaultKind::DeadVm => Some(FaultKind::Trap),
        FaultKind::WouldDuplicate => None,
        kind => Some(kind),
    };
    let mut kinds: Vec<_> =
        playback.faults.iter().filter_map(|f| kind(f.kind)).map(FaultKind::code).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn list<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn same_outcome(ours: &Playback, envoys: &Playback) -> bool {
    match (ours.outcome, envoys.outcome) {
        // The request had left all filters: which of them replied does not show.
        (Outcome::Answered(_), Outcome::Answered(_)) if ours.upstream.is_some() => true,
        (a, b) => a == b,
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Forwarded => "forwarded".to_owned(),
        Outcome::Answered(filter) => format!("answered by filter {}", filter + 1),
        Outcome::Failed => "the proxy answered".to_owned(),
        Outcome::Reset => "reset".to_owned(),
        Outcome::Stuck => "stuck".to_owned(),
        Outcome::Open => "open".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_traffic::Fault;

    fn playback(status: &str, outcome: Outcome) -> Playback {
        let mut playback = Playback { outcome, ..Playback::default() };
        playback.upstream.fill().headers.push(b":path", b"/");
        playback.reply.fill().headers.push(b":status", status.as_bytes());
        playback
    }

    fn with(kind: FaultKind) -> Playback {
        let mut playback = playback("503", Outcome::Failed);
        playback.faults.push(Fault { kind, filter: None, phase: "", text: String::new() });
        playback
    }

    #[test]
    fn messages_outcomes_and_faults_are_compared() {
        let forwarded = playback("200", Outcome::Forwarded);
        assert!(compare(&forwarded, &forwarded).is_empty());
        let lines = compare(&forwarded, &playback("403", Outcome::Answered(0))).lines(Secrets::Redact);
        assert_eq!(lines, ["outcome: forwarded -> answered by filter 1", "response status: 200 -> 403"]);
        let lines = compare(&with(FaultKind::Trap), &with(FaultKind::Stuck)).lines(Secrets::Redact);
        assert_eq!(lines, ["faults: trap -> stuck"]);
        assert!(compare(&with(FaultKind::OutOfFuel), &with(FaultKind::Trap)).is_empty());
    }

    #[test]
    fn callouts_are_compared_field_by_field_and_values_are_not_told() {
        let calls = |fields: &[(&str, &str)]| {
            let mut playback = playback("200", Outcome::Forwarded);
            let mut callout = Callout { cluster: "idp".into(), token: 4, ..Callout::default() };
            callout.request.headers.push(b":path", b"/ask");
            callout.request.headers.extend(fields.iter().copied());
            playback.callouts.push(callout);
            playback
        };
        let lines = |a: &[(&str, &str)], b| compare(&calls(a), &calls(b)).lines(Secrets::Redact);
        assert_eq!(lines(&[("x-a", "1"), ("x-b", "2")], &[("x-b", "2"), ("x-a", "1")]), Vec::<String>::new());
        let both = lines(&[("authorization", "me"), ("x-a", "1")], &[("authorization", "you")]);
        assert_eq!(both, ["fields of a callout: authorization, x-a -> authorization"]);
        let none = compare(&calls(&[]), &playback("200", Outcome::Forwarded)).lines(Secrets::Redact);
        assert_eq!(none, ["callouts: idp/ask (0 bytes) -> none"]);
    }

    #[test]
    fn what_the_test_host_cannot_judge_is_not_held_against_envoy() {
        let ours = with(FaultKind::UnansweredCallout);
        let envoys = playback("200", Outcome::Forwarded);
        assert!(!comparable(&ours, &envoys) && comparable(&envoys, &envoys));
        assert!(compare(&ours, &envoys).is_empty());
    }
}
