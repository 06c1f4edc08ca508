//! Streams that wait for somebody else: HTTP calls, gRPC calls and gRPC streams.

use super::Script;
use crate::fuzz::kinds::{CLUSTERS, GRPC};

impl Script<'_> {
    /// The stream waits for a call; its answer lets it go on, or replies.
    pub(super) fn callout(&mut self, phase: &'static str) {
        if self.dice.percent(35) {
            return self.grpc(phase);
        }
        let cluster = if self.dice.percent(90) { self.dice.pick(&CLUSTERS) } else { "fuzz-unknown" };
        let headers = self.dice.pick(&[
            ":method=GET,:path=/call,:authority=call",
            ":method=POST,:path=/,:authority=c,x-a=1",
            ":path=/",
        ]);
        let body = self.dice.pick(&["-", "question"]);
        // A call that does not start leaves nobody who wakes the stream.
        let starts = !matches!(cluster, "fuzz-none" | "fuzz-unknown") && headers != ":path=/";
        let timeout = if cluster == "fuzz-slow" { 20 } else { 5000 };
        self.add(phase, format!("call {cluster} {timeout} {headers} {body}"));
        if starts {
            self.add(phase, "ret 1".into());
        }
        if self.blocks.contains_key("call") {
            return;
        }
        for op in ["pairs 6", "buf 4 0 100"] {
            self.add("call", op.into());
        }
        self.wakes(phase, "call");
    }

    /// As [`Self::callout`], by gRPC. A stream is over with its end, a call with its message or its failure.
    fn grpc(&mut self, phase: &'static str) {
        if self.blocks.contains_key("gend") {
            return;
        }
        let cluster = self.dice.pick(&GRPC);
        let metadata = self.dice.pick(&["-", "x-md=1", "X-Md=a,x-md=b,x-b-bin=%00%ff"]);
        let message = self.dice.pick(&["-", "ping"]);
        for op in ["pairs 4", "pairs 5", "buf 5 0 100"] {
            self.add("gmsg", op.into());
        }
        self.add("gend", "status".into());
        if self.dice.percent(50) {
            self.add(phase, format!("gcall @{cluster} 5000 svc.Name Call {metadata} {message}"));
            self.wakes(phase, "gmsg");
        } else {
            self.add(phase, format!("gstream @{cluster} svc.Name Stream {metadata}"));
            let ends = self.dice.below(2);
            self.add(phase, format!("gsend $ {message} {ends}"));
            for phase in ["ginit", "gtrail"] {
                self.add(phase, "pairs 4".into());
                self.add(phase, "pairs 5".into());
            }
        }
        self.add(phase, "ret 1".into());
        self.wakes(phase, "gend");
    }

    /// The stream that was held in `phase` goes on in this callback of an answer, or is replied to.
    fn wakes(&mut self, phase: &'static str, callback: &'static str) {
        let side = if phase.starts_with("rq") { 0 } else { 1 };
        self.add(callback, "eff last".into());
        if self.dice.percent(40) {
            let map = side * 2;
            let name = self.name(map);
            let value = self.value(map, name);
            self.add(callback, format!("rep {map} {name} {value}"));
        }
        if side == 0 && self.dice.percent(20) {
            self.reply(callback);
        } else {
            self.add(callback, format!("cont {side}"));
        }
    }
}
