//! Random scripts for the guest.

mod callout;

use super::dice::Dice;
use super::words::*;
use std::collections::BTreeMap;

/// Where a block stands, and how often.
const PHASES: [(usize, &str); 12] = [
    (26, "rqh"),
    (9, "rqb"),
    (4, "rqb1"),
    (2, "rqb2"),
    (4, "rqt"),
    (24, "rsh"),
    (9, "rsb"),
    (4, "rsb1"),
    (2, "rsb2"),
    (4, "rst"),
    (8, "log"),
    (2, "done"),
];

/// Numbers of maps, as a filter may have them.
const MAPS: [(usize, usize); 10] =
    [(20, 0), (4, 1), (20, 2), (4, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 99)];

/// One script while it grows.
pub(super) struct Script<'a> {
    dice: &'a mut Dice,
    whom: &'a For<'a>,
    blocks: BTreeMap<&'static str, Vec<String>>,
}

/// For whom a script is.
pub(super) struct For<'a> {
    /// What belongs to this case alone, so that no other one has left anything there.
    pub(super) key: &'a str,
    /// The client speaks HTTP/2, and its library refuses what HTTP/2 cannot carry.
    pub(super) http2: bool,
    /// Nobody ends the stream in a body or in trailers: somebody may wait for the answer to a call.
    pub(super) quiet: bool,
    /// The filter may call: it can hold its stream meanwhile.
    pub(super) calls: bool,
    /// Its VM has another filter, whose context it can reach.
    pub(super) pair: bool,
}

/// A script.
pub(super) fn script(dice: &mut Dice, whom: &For<'_>) -> String {
    let mut script = Script { dice, whom, blocks: BTreeMap::new() };
    let blocks = script.dice.weigh(&[(2, 0), (4, 1), (4, 2), (3, 3), (2, 4), (1, 6)]);
    for _ in 0..blocks {
        script.block();
    }
    let block = |(phase, ops): (&&str, &Vec<String>)| format!("{phase}: {}", ops.join("; "));
    script.blocks.iter().map(block).collect::<Vec<_>>().join(" | ")
}

impl Script<'_> {
    fn add(&mut self, phase: &'static str, op: String) {
        self.blocks.entry(phase).or_default().push(op);
    }

    fn block(&mut self) {
        let phase = self.dice.weigh(&PHASES);
        if self.whom.calls
            && self.dice.percent(6)
            && matches!(phase, "rqh" | "rsh")
            && !self.blocks.contains_key(phase)
        {
            self.callout(phase);
            return;
        }
        for _ in 0..self.dice.weigh(&[(4, 1), (4, 2), (2, 3), (1, 5)]) {
            self.op(phase);
        }
        let verdicts = ["call ", "reply ", "close ", "cont ", "ret "];
        let decided = self.blocks[phase].iter().any(|op| verdicts.iter().any(|v| op.starts_with(v)));
        if !decided && self.dice.percent(20) {
            self.verdict(phase);
        }
    }

    /// One operation, or a few that belong together.
    fn op(&mut self, phase: &'static str) {
        let what = self.dice.weigh(&[
            (46, "map"),
            (14, "buffer"),
            (14, "property"),
            (5, "shared"),
            (5, "metric"),
            (2, "queue"),
            (3, "effective"),
            (3, "foreign"),
            (3, "wasi"),
            (3, "expression"),
            (1, "level"),
            (1, "status"),
        ]);
        match what {
            "map" => self.map(phase),
            "buffer" => self.buffer(phase),
            "property" => self.property(phase),
            "shared" => self.shared(phase),
            "metric" => self.metric(phase),
            "queue" => self.queue(phase),
            // Before the response the other one may not have come to its context.
            "effective" if self.whom.pair && phase.starts_with("rs") => {
                self.add(phase, "eff other".into());
                match self.dice.below(3) {
                    0 => self.map(phase),
                    1 => self.buffer(phase),
                    _ => self.property(phase),
                }
                self.add(phase, "eff 0".into());
            }
            "effective" => {
                let to = self.dice.pick(&["root", "0", "99999999"]);
                self.add(phase, format!("eff {to}"));
            }
            "foreign" => {
                let call = self.dice.pick(&[
                    "clear_route_cache -",
                    "uncompress garbage",
                    "uncompress %78%9c%4b%4c%4a%06%00%02%4d%01%27",
                    "nothing x",
                    "compress -",
                    "compress hello%20hello%20hello%20hello",
                    "set_envoy_filter_state %0a%0cenvoy.string%12%01x",
                    "set_envoy_filter_state %0a%01?%12%01x",
                    "declare_property %0a%03own",
                ]);
                self.add(phase, format!("foreign {call}"));
            }
            "wasi" => {
                let call = self.dice.pick(&[
                    "clock 0",
                    "clock 1",
                    "clock 2",
                    "clockres 1",
                    "random 10",
                    "random 70000",
                    "write 1 x",
                    "write 3 x",
                    "poll",
                    "yield",
                    "exit 1",
                ]);
                self.add(phase, call.to_owned());
            }
            "expression" => {
                let text = self.dice.pick(EXPRESSIONS);
                self.add(phase, format!("expr {text}"));
            }
            other => self.add(phase, other.into()),
        }
    }

    /// The map that a callback is likely to work with, or any.
    fn number(&mut self, phase: &str) -> usize {
        let own = match phase {
            "rqh" => 0,
            "rqt" | "rqb" | "rqb1" | "rqb2" => self.dice.weigh(&[(1, 0), (3, 1)]),
            "rsh" => 2,
            "rst" | "rsb" | "rsb1" | "rsb2" => self.dice.weigh(&[(1, 2), (3, 3)]),
            _ => self.dice.weigh(&MAPS),
        };
        if self.dice.percent(88) { own } else { self.dice.weigh(&MAPS) }
    }

    fn name(&mut self, map: usize) -> &'static str {
        let own = self.dice.percent(25);
        self.dice.weigh(match map {
            0 if own => REQUEST_FILTER,
            0 => REQUEST,
            2 if own && !self.whom.http2 => RESPONSE_FILTER,
            1 | 3 => TRAILERS,
            _ => RESPONSE,
        })
    }

    /// A value for a field of a map.
    fn value(&mut self, map: usize, name: &str) -> String {
        let own: &[&str] = match name {
            ":path" => &["/x", "/x?y", "/a/b?c=d", "x", "-", "/#f", "*"],
            ":method" => &["GET", "POST", "PUT", "get", "ODD"],
            ":scheme" => &["http", "https", "odd"],
            ":authority" | "host" => &["other.test", "shop.test:80", "-", "UPPER.test"],
            ":status" => &["200", "404", "503", "299", "999", "0200", "abc", "-", "20"],
            "grpc-status" => &["0", "5", "16", "17", "abc"],
            "te" => &["trailers", "gzip"],
            _ => &[],
        };
        if !own.is_empty() && (name.starts_with(':') || self.dice.percent(90)) {
            return self.dice.pick(own).to_owned();
        }
        let odd = self.dice.percent(10) && (map < 2 || !self.whom.http2);
        let values = if odd { ODD_VALUES } else { VALUES };
        self.dice.weigh(values).to_owned()
    }

    fn map(&mut self, phase: &'static str) {
        let map = self.number(phase);
        let name = self.name(map);
        let op = match self.dice.weigh(&[
            (5, "get"),
            (6, "add"),
            (6, "rep"),
            (4, "rm"),
            (5, "pairs"),
            (2, "size"),
            (2, "setpairs"),
            (1, "setraw"),
        ]) {
            "rm" if name == ":method" => format!("get {map} {name}"),
            op @ ("get" | "rm") => format!("{op} {map} {name}"),
            op @ ("pairs" | "size") => format!("{op} {map}"),
            "setpairs" => format!("setpairs {map} {}", self.pairs(map)),
            "setraw" => {
                format!("setraw {map} {}", self.dice.pick(&["-", "%01%00%00%00", "garbage", "%00%00%00%00"]))
            }
            op => {
                let value = self.value(map, name);
                format!("{op} {map} {name} {value}")
            }
        };
        self.add(phase, op);
    }

    /// A list of pairs that mostly has what its map needs.
    fn pairs(&mut self, map: usize) -> String {
        let mut pairs: Vec<String> = match map {
            0 if self.dice.percent(80) => {
                let path = self.dice.pick(&["/p", "/p?q=r"]);
                vec![
                    ":method=POST".into(),
                    format!(":path={path}"),
                    ":scheme=http".into(),
                    ":authority=shop.test".into(),
                ]
            }
            // Without it the router refuses it sooner or later.
            0 => vec![":method=GET".into()],
            2 if self.dice.percent(80) => vec![format!(":status={}", self.dice.pick(&["200", "201", "404"]))],
            _ => Vec::new(),
        };
        for _ in 0..self.dice.below(4) {
            let name = self.name(map);
            let value = self.value(map, name).replace(',', "%2c").replace('=', "%3d");
            pairs.push(format!("{name}={}", if value == "-" { "" } else { &value }));
        }
        if pairs.is_empty() { "-".into() } else { pairs.join(",") }
    }

    fn buffer(&mut self, phase: &'static str) {
        let own = match phase {
            "rqh" | "rqb" | "rqb1" | "rqb2" | "rqt" => "0",
            _ => "1",
        };
        let buffer = if self.dice.percent(90) { own } else { self.dice.pick(BUFFERS) };
        if self.dice.percent(55) {
            let range = self.dice.pick(&[
                "0 100",
                "0 0",
                "1 2",
                "3 1",
                "100 5",
                "0 4294967295",
                "4294967295 1",
                "2 4294967294",
            ]);
            self.add(phase, format!("buf {buffer} {range}"));
        } else if self.dice.percent(20) {
            self.add(phase, format!("bufstat {buffer}"));
        } else {
            let range = self.dice.weigh(&[
                (4, "0 100000"),
                (2, "0 0"),
                (2, "0 1"),
                (1, "0 3"),
                (1, "2 1"),
                (2, "100000 0"),
                (1, "4294967295 0"),
            ]);
            let value = if self.dice.percent(15) {
                "-"
            } else {
                self.dice.pick(&["new", "longer%20than%20before", "%00%ff"])
            };
            self.add(phase, format!("setbuf {buffer} {range} {value}"));
            // A body of another length than its header says is a finding, and no longer compared.
            if self.dice.percent(97) {
                let headers = if buffer == "0" { ("rqh", 0) } else { ("rsh", 2) };
                let op = format!("rm {} content-length", headers.1);
                if !self.blocks.get(headers.0).is_some_and(|ops| ops.contains(&op)) {
                    self.blocks.entry(headers.0).or_default().insert(0, op);
                }
            }
        }
    }

    fn property(&mut self, phase: &'static str) {
        if self.dice.percent(85) {
            let path = self.dice.pick(PROPERTIES);
            self.add(phase, format!("prop {path}"));
        } else {
            let key = self.dice.pick(&["own", "other", "plugin_name", "request", "-"]);
            let value = self.dice.weigh(VALUES);
            self.add(phase, format!("setprop {key} {value}"));
            self.add(phase, format!("prop {key}"));
        }
    }

    fn shared(&mut self, phase: &'static str) {
        let key = format!("{}{}", self.whom.key, self.dice.pick(&["", "b"]));
        for _ in 0..=self.dice.below(3) {
            let value = self.dice.weigh(VALUES);
            let op = self.dice.weigh(&[(3, 0), (3, 1), (1, 2), (1, 3)]);
            self.add(
                phase,
                match op {
                    0 => format!("sget {key}"),
                    1 => format!("sset {key} {value} 0"),
                    2 => format!("sset {key} {value} $"),
                    _ => format!("sset {key} {value} 4294967295"),
                },
            );
        }
    }

    fn metric(&mut self, phase: &'static str) {
        let kind = self.dice.below(3);
        let key = self.whom.key;
        self.add(phase, format!("mdef {kind} {key}"));
        for _ in 0..=self.dice.below(3) {
            let by = self.dice.pick(&["1", "5", "0", "-1", "-7"]);
            let op = self.dice.pick(&["minc $", "mrec $", "mget $", "mget 4294967295"]);
            self.add(phase, if op.starts_with("mget") { op.into() } else { format!("{op} {by}") });
        }
    }

    fn queue(&mut self, phase: &'static str) {
        let key = self.whom.key;
        self.add(phase, format!("qfind - {key}"));
        self.add(phase, "qput 999999 x".into());
        self.add(phase, "qget 999999".into());
    }

    /// How the callback ends, beside Continue.
    fn verdict(&mut self, phase: &'static str) {
        let kind = match phase {
            "rqh" => self.dice.weigh(&[(10, "reply"), (2, "close"), (4, "ret"), (2, "two"), (1, "cont")]),
            "rsh" => self.dice.weigh(&[(10, "reply"), (2, "close"), (4, "ret"), (1, "cont")]),
            "rqb" | "rqb1" | "rqb2" | "rsb" | "rsb1" | "rsb2" if self.whom.quiet => {
                self.dice.weigh(&[(1, "cont"), (6, "ret")])
            }
            "rqt" | "rst" if self.whom.quiet => return,
            "rqb" | "rqb1" | "rqb2" => {
                self.dice.weigh(&[(4, "reply"), (2, "close"), (4, "cont"), (24, "ret"), (1, "two")])
            }
            "rsb" | "rsb1" | "rsb2" => {
                self.dice.weigh(&[(2, "reply"), (1, "close"), (2, "cont"), (12, "ret")])
            }
            "rqt" => self.dice.weigh(&[(4, "reply"), (2, "close"), (2, "cont"), (1, "two")]),
            "rst" => self.dice.weigh(&[(2, "reply"), (1, "close"), (1, "cont")]),
            _ => self.dice.weigh(&[(1, "ret"), (1, "done")]),
        };
        match kind {
            "reply" => self.reply(phase),
            "two" => {
                self.reply(phase);
                self.reply(phase);
            }
            "close" => {
                let which = self.dice.below(2);
                self.add(phase, format!("close {which}"));
                if phase == "rst" {
                    self.add(phase, "ret 1".into());
                }
            }
            "cont" => {
                let which = usize::from(phase.starts_with("rs"));
                self.add(phase, format!("cont {which}"));
                if phase.ends_with('h') {
                    self.add(phase, "ret 1".into());
                } else if self.dice.percent(50) {
                    let value = self.dice.pick(&["1", "2", "3"]);
                    self.add(phase, format!("ret {value}"));
                }
            }
            "done" => self.add(phase, "done".into()),
            _ => {
                let value = match phase {
                    // Nothing wakes a message whose headers are held; 2 is Continue.
                    "rqh" | "rsh" => self.dice.weigh(&[(5, 2), (1, 1)]),
                    _ => self.dice.weigh(&[(6, 1), (3, 2), (3, 3), (1, 4), (1, 7)]),
                };
                self.add(phase, format!("ret {value}"));
            }
        }
    }

    fn reply(&mut self, phase: &'static str) {
        let code = self.dice.weigh(&[(8, 403), (4, 200), (2, 418), (4, 503), (2, 429), (1, 204), (1, 304)]);
        let body = self.dice.pick(&["no", "-", "a%20longer%20body", "%00%ff"]);
        let details = self.dice.pick(&["why", "with%20space%0aand%09more", "-"]);
        let mut headers = Vec::new();
        for _ in 0..self.dice.below(3) {
            let name = self.name(2);
            let value = self.value(2, name).replace(',', "%2c").replace('=', "%3d");
            headers.push(format!("{name}={}", if value == "-" { "" } else { &value }));
        }
        let headers = if headers.is_empty() { "-".into() } else { headers.join(",") };
        let grpc = self.dice.pick(&["-1", "0", "5", "99"]);
        self.add(phase, format!("reply {code} {body} {details} {headers} {grpc}"));
    }
}
