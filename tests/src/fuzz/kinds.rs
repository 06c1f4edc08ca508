//! The chains of the fuzzer: an Envoy starts with all of them, and each case goes through one.

use super::dice::Dice;
use crate::row::{Answer, End, Filter, Grpc, Policy, Row};
use std::collections::BTreeMap;

/// Names of the filters of a chain, first first.
pub(super) const NAMES: [&str; 3] = ["fa", "fb", "fc"];

/// The clusters of callouts, and what they answer.
pub(super) const CLUSTERS: [&str; 5] = ["fuzz-ok", "fuzz-bad", "fuzz-gone", "fuzz-none", "fuzz-slow"];

/// Those of gRPC calls and streams.
pub(super) const GRPC: [&str; 5] = ["fuzz-yes", "fuzz-two", "fuzz-empty", "fuzz-no", "fuzz-reset"];

/// A chain: how often, its name, which of its filters have `allow_on_headers_stop_iteration`, whether all share a VM.
struct Kind {
    weight: usize,
    name: &'static str,
    filters: &'static [bool],
    one_vm: bool,
}

const PLAIN: bool = false;
const STOPS: bool = true;

const fn kind(weight: usize, name: &'static str, filters: &'static [bool]) -> Kind {
    Kind { weight, name, filters, one_vm: false }
}

const KINDS: [Kind; 7] = [
    kind(30, "one", &[PLAIN]),
    kind(10, "one-stops", &[STOPS]),
    kind(25, "two", &[PLAIN, PLAIN]),
    kind(8, "first-stops", &[STOPS, PLAIN]),
    kind(8, "second-stops", &[PLAIN, STOPS]),
    kind(12, "three", &[PLAIN, PLAIN, PLAIN]),
    Kind { one_vm: true, ..kind(7, "two-in-one", &[PLAIN, PLAIN]) },
];

/// All chains, as rows without exchanges: what an Envoy starts with.
pub(super) fn all() -> Vec<(String, Row)> {
    KINDS.iter().map(|kind| (name(kind), row(kind))).collect()
}

/// The chain of a case.
pub(super) fn pick(dice: &mut Dice) -> (String, Row) {
    let weights: Vec<_> = KINDS.iter().map(|kind| (kind.weight, kind)).collect();
    let kind = dice.weigh(&weights);
    (name(kind), row(kind))
}

fn name(kind: &Kind) -> String {
    format!("fuzz-{}", kind.name)
}

fn row(kind: &Kind) -> Row {
    let filter = |(stops, name): (&bool, &&str)| Filter {
        config: None,
        kind: None,
        name: (*name).into(),
        script: String::new(),
        policy: Policy::default(),
        allow_on_headers_stop_iteration: *stops,
        vm: kind.one_vm.then(|| "one".into()),
        allowed: None,
    };
    Row {
        says: String::new(),
        chain: kind.filters.iter().zip(&NAMES).map(filter).collect(),
        callouts: callouts(),
        ..Row::default()
    }
}

fn callouts() -> BTreeMap<String, Vec<Answer>> {
    let ok = Answer {
        headers: vec![("x-call".into(), "yes".into())],
        body: vec!["called".into()],
        ..Answer::default()
    };
    let bad = Answer { status: 503, ..Answer::default() };
    let gone = Answer { end: End::Reset, ..Answer::default() };
    let slow = Answer { end: End::Never, ..Answer::default() };
    let http = CLUSTERS.iter().zip([vec![ok], vec![bad], vec![gone], Vec::new(), vec![slow]]);
    let usual = Grpc {
        headers: vec![("x-initial".into(), "i".into())],
        trailers: vec![("x-trailing".into(), "t".into())],
        ..Grpc::default()
    };
    let grpc = [
        Grpc { messages: vec!["yes".into()], ..usual.clone() },
        Grpc { messages: vec!["one".into(), String::new()], ..usual.clone() },
        Grpc::default(),
        Grpc { status: 7, text: "not you".into(), ..usual.clone() },
        usual,
    ]
    .map(|grpc| Answer { grpc: Some(grpc), ..Answer::default() });
    let [yes, two, empty, no, reset] = grpc;
    let reset = Answer { end: End::Reset, ..reset };
    let grpc = GRPC.iter().zip([vec![yes], vec![two], vec![empty], vec![no], vec![reset]]);
    http.chain(grpc).map(|(name, answers)| ((*name).to_owned(), answers)).collect()
}
