//! From what was seen on the wire and in Envoy's logs to a playback.

use crate::chain::Filter;
use crate::told::In;
use crate::witness::{Ending, Story, Trap};
use std::process::ExitStatus;
use tamis_traffic::{
    Callout, Exchange, Fault, FaultKind, FilterTrace, Half, Headers, Message, Outcome, Playback,
};

/// How Envoy itself came through the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Serves,
    /// It ended.
    Crashed(ExitStatus),
    /// It does not answer any more.
    Hangs,
}

/// All that was seen of one exchange.
pub(crate) struct Seen<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) filters: &'a [Filter],
    pub(crate) story: Story,
    pub(crate) ending: Ending,
    pub(crate) arrived: Vec<In>,
    pub(crate) callouts: Vec<Callout>,
    pub(crate) client: Option<In>,
    /// The client went away before it had its answer.
    pub(crate) left: bool,
    pub(crate) life: Life,
    /// VMs that died in an earlier exchange.
    pub(crate) dead: &'a mut [bool],
}

/// Details of replies that Envoy makes itself, by what they begin with. Anything else in a reply that is not
/// the upstream's is what a filter gave as details.
const HOST: [&str; 10] = [
    "wasm_fail_stream",
    "route_not_found",
    "request_payload_too_large",
    "response_payload_too_large",
    "filter_removed_required_request_headers",
    "filter_removed_required_response_headers",
    "upstream_reset_",
    "upstream_response_timeout",
    "stream_idle_timeout",
    "no_healthy_upstream",
];

impl Seen<'_> {
    /// Fills the playback.
    pub(crate) fn fill(mut self, playback: &mut Playback) {
        playback.logs = std::mem::take(&mut self.story.logs);
        playback.callouts = std::mem::take(&mut self.callouts);
        let details = self.ending.details.as_str();
        if details != "via_upstream" && !self.upgraded() {
            details.clone_into(&mut playback.details);
        }
        playback.outcome = self.outcome();
        self.faults(playback);
        self.messages(playback);
        self.traces(playback);
    }

    fn outcome(&self) -> Outcome {
        if self.left {
            return Outcome::Reset;
        }
        let (whole, held) = match &self.client {
            Some(response) => {
                (!response.cut || self.lengths(Half::Response).is_some_and(|(a, b)| a != b), false)
            }
            None => (false, self.exchange.response.is_none() && self.arrived.iter().any(|r| !r.cut)),
        };
        if self.upgraded() && self.life == Life::Serves {
            return Outcome::Forwarded;
        }
        let details = self.ending.details.as_str();
        if self.life != Life::Serves {
            return if whole { Outcome::Forwarded } else { Outcome::Reset };
        }
        if self.ending.has_flag("SI") || details == "stream_idle_timeout" {
            return Outcome::Stuck;
        }
        if held {
            return Outcome::Open;
        }
        match details {
            _ if !whole => Outcome::Reset,
            "via_upstream" => Outcome::Forwarded,
            own if HOST.iter().any(|host| own.starts_with(host)) => Outcome::Failed,
            _ => self.answerer().map_or(Outcome::Failed, Outcome::Answered),
        }
    }

    /// What follows a 101 has no end but that of the connection: whatever Envoy calls that, it is none of a filter.
    fn upgraded(&self) -> bool {
        self.client.as_ref().is_some_and(|response| response.headers.get(b":status") == Some(b"101"))
    }

    /// Which filter gave a reply: the one that the request entered and did not leave, else the one that the
    /// upstream's response entered and did not leave, else (it passed both ways at the headers) the last.
    fn answerer(&self) -> Option<usize> {
        let last = self.filters.len();
        match self.story.deepest()? {
            deepest if deepest < last => Some(deepest),
            _ if self.arrived.is_empty() => last.checked_sub(1),
            _ => self.story.nearest().unwrap_or(last).checked_sub(1).or(Some(0)),
        }
    }

    /// The header lists are those of the witnesses at both ends; the wire tells bodies and trailers, and
    /// the headers of replies that pass no filter (docs/envoy.md 2.5).
    fn messages(&mut self, playback: &mut Playback) {
        let left = self.story.request.last().cloned().flatten();
        let arrived = self.arrived.first_mut();
        let refused = playback.outcome == Outcome::Failed && arrived.is_none();
        if let Some(headers) = left.filter(|_| !refused) {
            let (body, trailers) =
                arrived.map(|r| (std::mem::take(&mut r.body), r.trailers.take())).unwrap_or_default();
            fill(playback.upstream.fill(), headers, body, trailers);
        }
        if let Some(response) = self.client.take() {
            let witnessed = self.story.response.first().cloned().flatten();
            let same = |h: &Headers| h.get(b":status") == response.headers.get(b":status");
            let headers = witnessed.filter(same).unwrap_or_else(|| off_the_wire(&response));
            fill(playback.reply.fill(), headers, response.body, response.trailers);
        }
    }

    fn faults(&mut self, playback: &mut Playback) {
        let traps = std::mem::take(&mut self.story.traps);
        // A VM that traps while Envoy goes down or round in circles is part of that: docs/envoy.md 2.5.
        let circles = self.life == Life::Hangs && !traps.is_empty();
        for trap in traps.into_iter().filter(|_| self.life == Life::Serves) {
            let filter = self.trapped(&trap);
            if let Some(dead) = filter.and_then(|f| self.dead.get_mut(f)) {
                *dead = true;
            }
            let phase = phase(&trap.phase);
            playback.faults.push(Fault { kind: FaultKind::Trap, filter, phase, text: trap.text });
        }
        match self.life {
            Life::Serves => {}
            Life::Crashed(status) => {
                let text = format!("Envoy itself crashed ({status})");
                push(playback, FaultKind::WouldCrash, self.running(), text);
            }
            Life::Hangs if circles => {
                let text = "Envoy calls the filter again and again until its stack is full".to_owned();
                push(playback, FaultKind::WouldCrash, self.running(), text);
            }
            Life::Hangs => {
                let text = "Envoy does not come back from the filter".to_owned();
                push(playback, FaultKind::OutOfFuel, self.running(), text);
            }
        }
        if self.left {
            return push(playback, FaultKind::ClientAbort, None, "the client left".to_owned());
        }
        let details = self.ending.details.as_str();
        if details == "wasm_fail_stream" && playback.faults.is_empty() {
            let filter = self.running();
            if let Some(dead) = filter.and_then(|f| self.dead.get_mut(f)) {
                *dead = true;
            }
            push(playback, FaultKind::DeadVm, filter, "the VM of the filter broke earlier".to_owned());
        }
        if details == "route_not_found" || details.starts_with("filter_removed_required_") {
            push(playback, FaultKind::BadHeaders, None, format!("Envoy refuses the headers: {details}"));
        }
        if matches!(details, "request_payload_too_large" | "response_payload_too_large") {
            push(playback, FaultKind::BufferLimit, self.running(), format!("Envoy gives up: {details}"));
        }
        let replied = self.life == Life::Serves
            && details != "wasm_close_stream"
            && !HOST.iter().any(|host| details.starts_with(host));
        if playback.outcome == Outcome::Reset
            && self.story.nearest() == Some(0)
            && replied
            && details != "via_upstream"
        {
            let text = format!("a reply after the response headers went out ({details})");
            push(playback, FaultKind::LateReply, self.answerer(), text);
        }
        if playback.outcome == Outcome::Stuck {
            let text = format!("the stream stood still and Envoy ended it ({details})");
            push(playback, FaultKind::Stuck, self.running(), text);
        }
        for half in [Half::Request, Half::Response] {
            let Some((said, real)) = self.lengths(half).filter(|(said, real)| said != real) else { continue };
            let text = format!("content-length of the {} is {said}, its body has {real} bytes", half.word());
            push(playback, FaultKind::BodyLength, None, text);
            break;
        }
    }

    /// Whose trap it was: in a headers phase the filter that the message had just entered; elsewhere only a
    /// chain of one can tell.
    fn trapped(&self, trap: &Trap) -> Option<usize> {
        let last = self.filters.len();
        match (trap.phase.as_str(), trap.passed) {
            _ if last == 1 => Some(0),
            ("proxy_on_request_headers", (Some(cut), _)) if cut < last => Some(cut),
            ("proxy_on_response_headers", (_, Some(cut))) => cut.checked_sub(1),
            _ => None,
        }
    }

    /// The filter that the stream stands in, as far as headers tell.
    fn running(&self) -> Option<usize> {
        let last = self.filters.len();
        match self.story.deepest() {
            Some(cut) if cut < last => Some(cut),
            _ if last == 1 => Some(0),
            _ => None,
        }
    }

    /// What `content-length` says of a message that left the filters, and the length of its body. None when
    /// there is nothing to compare, or the recording is cut.
    fn lengths(&self, half: Half) -> Option<(usize, usize)> {
        let (recorded, headers, got) = match half {
            Half::Request => {
                (&self.exchange.request, self.story.request.last()?.as_ref()?, self.arrived.first()?)
            }
            Half::Response => {
                (&self.exchange.response, self.story.response.first()?.as_ref()?, self.client.as_ref()?)
            }
        };
        let length = |h: &Headers| h.text("content-length").and_then(|v| v.trim().parse::<usize>().ok());
        let cut = |m: &Message| length(&m.headers).is_some_and(|said| said != m.body.bytes.len());
        let head = self.exchange.request.get().and_then(|m| m.headers.get(b":method")) == Some(b"HEAD");
        let bodiless =
            half == Half::Response && (head || matches!(got.headers.get(b":status"), Some(b"204" | b"304")));
        if bodiless || recorded.get().is_some_and(cut) {
            return None;
        }
        Some((length(headers)?, got.body.len()))
    }

    /// What each filter did, by the header lists before and behind it. Of bodies only both ends of the chain
    /// are seen: a change there is put down to a chain of one.
    fn traces(&self, playback: &mut Playback) {
        let answered = match playback.outcome {
            Outcome::Answered(filter) => Some(filter),
            Outcome::Reset if !self.ending.details.starts_with("wasm_fail") => self.answerer(),
            _ => None,
        };
        let alone = self.filters.len() == 1;
        for index in 0..self.filters.len() {
            let reached = self.story.deepest().is_some_and(|cut| cut >= index);
            let broke = playback.faults.iter().any(|f| f.filter == Some(index));
            let answered = answered == Some(index) && self.life == Life::Serves;
            let changed = |half| reached && self.changed(half, index, alone, playback);
            playback.filters.push(FilterTrace {
                reached,
                request_changed: changed(Half::Request),
                response_changed: !answered && changed(Half::Response),
                answered,
                broke,
                ..FilterTrace::default()
            });
        }
    }

    fn changed(&self, half: Half, index: usize, alone: bool, playback: &Playback) -> bool {
        let (side, recorded, played) = match half {
            Half::Request => (&self.story.request, &self.exchange.request, &playback.upstream),
            Half::Response => (&self.story.response, &self.exchange.response, &playback.reply),
        };
        let headers = match (side.get(index), side.get(index + 1)) {
            (Some(Some(a)), Some(Some(b))) => !a.iter().eq(b.iter()),
            _ => false,
        };
        let whole = matches!(playback.outcome, Outcome::Forwarded | Outcome::Open);
        let body = match (recorded.get(), played.get()) {
            (Some(old), Some(new)) if alone && whole => {
                old.body.bytes != new.body.bytes
                    || old.trailers.get().map(Headers::len) != new.trailers.get().map(Headers::len)
            }
            _ => false,
        };
        headers || body
    }
}

fn fill(message: &mut Message, headers: Headers, body: Vec<u8>, trailers: Option<Headers>) {
    message.headers = headers;
    message.body.bytes = body;
    if let Some(trailers) = trailers {
        *message.trailers.fill() = trailers;
    }
}

/// The list without what the codec wrote: fields of the connection, and the length of an empty body.
fn off_the_wire(response: &In) -> Headers {
    let mut headers = Headers::new();
    let codec = |name: &[u8], value: &[u8]| {
        matches!(name, b"connection" | b"transfer-encoding" | b"date")
            || (name == b"content-length" && value == b"0")
    };
    response.headers.iter().filter(|(n, v)| !codec(n, v)).for_each(|(n, v)| headers.push(n, v));
    headers
}

/// The phase of faults that Envoy shows outside of a callback.
const ENVOY: &str = "envoy";

fn push(playback: &mut Playback, kind: FaultKind, filter: Option<usize>, text: String) {
    playback.faults.push(Fault { kind, filter, phase: ENVOY, text });
}

/// The name as playbacks have it: one of the callbacks that there are.
fn phase(name: &str) -> &'static str {
    const PHASES: [&str; 13] = [
        "proxy_on_context_create",
        "proxy_on_request_headers",
        "proxy_on_request_body",
        "proxy_on_request_trailers",
        "proxy_on_response_headers",
        "proxy_on_response_body",
        "proxy_on_response_trailers",
        "proxy_on_http_call_response",
        "proxy_on_tick",
        "proxy_on_queue_ready",
        "proxy_on_log",
        "proxy_on_done",
        "proxy_on_delete",
    ];
    PHASES.into_iter().find(|phase| *phase == name).unwrap_or(ENVOY)
}
