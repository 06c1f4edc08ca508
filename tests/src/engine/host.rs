//! Rows played by our host.

use super::{Observed, VM_PREFIX, real::configuration};
use crate::peer::{BETWEEN, CUT, LEFT, PAUSE, Seen};
use crate::row::{self, Act, End, Filter, Frame, Grpc, Leaves, Piece, Policy, Row, Step};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::time::Duration;
use tamis_host::{Answer, Answers, Engine, FailurePolicy, FilterSpec, Module, Profile, Stage};
use tamis_traffic::{
    Attributes, Body, Callout, Connection, Event, Exchange, GrpcEnd, GrpcMessage, GrpcReply, GrpcStatus,
    Headers, Log, LogLevel, Message, Metadata, Outcome, Party, Peer, Playback, Protocol, Side, Slot, message,
};

/// When an exchange begins, and how long it takes, nanoseconds: the rows do not compare them.
const STARTED: u64 = 1_700_000_000_000_000_000;
const DURATION: u64 = 1;

/// The host that all requests name.
const HOST: &str = "shop.test";

/// Plays a row. `guest` is the scripted guest.
///
/// # Errors
/// When the stage does not start.
pub fn play(engine: &Engine, guest: &Module, name: &str, row: &Row) -> Result<Observed> {
    let mut profile = Profile::default();
    profile.buffer_limit = row.buffer_limit.map_or(profile.buffer_limit, u64::from);
    profile.reload_backoff = row.reload_backoff.map_or(profile.reload_backoff, Duration::from_millis);
    let mut builder = Stage::builder(engine)
        .answers(Box::new(Told::new(row)))
        .profile(profile)
        .proxy(row.proxy.properties())
        // The level that Envoy is started with.
        .log_level(LogLevel::Warn);
    if let Some(leaves) = row.exchanges.first().and_then(|step| step.leaves) {
        let spec = match leaves {
            Leaves::Held => "client-abort@request_headers",
            Leaves::Waiting => "client-abort",
            Leaves::Answered => "client-abort@response_body",
        };
        builder = builder.inject(0, spec.parse()?, None);
    }
    for filter in &row.chain {
        builder = builder.filter(spec(name, filter, guest));
    }
    let mut stage = builder.build().context("the stage does not start")?;
    let mut seen = Observed::default();
    take_logs(stage.start_logs(), &mut seen);
    for cluster in row.callouts.iter().filter(|(_, answers)| !answers.is_empty()).map(|(name, _)| name) {
        seen.callouts.insert(cluster.clone(), Vec::new());
    }
    let mut playback = Playback::default();
    pass(&mut stage, row.beforehand, &mut playback, &mut seen);
    for step in &row.exchanges {
        pass(&mut stage, step.before, &mut playback, &mut seen);
        playback.clear();
        stage.play(&exchange(name, row, step), &mut playback);
        take(&playback, &mut seen);
        seen.upstream.extend(playback.upstream.get().map(|m| request_seen(m, false)));
        seen.client.push(client_seen(&playback, step));
        let bare = step.body.is_empty() && step.trailers.is_empty() && !step.chunked;
        seen.whole.push(bare || playback.outcome == Outcome::Forwarded);
        seen.reached.push(seen.upstream.len());
    }
    for acts in &row.connections {
        playback.clear();
        stage.play_connection(&connection(acts), &mut playback);
        take(&playback, &mut seen);
        let end = |message: &Message| {
            let odd = if playback.outcome == Outcome::Reset { vec!["closed".into()] } else { Vec::new() };
            Seen { start: "connection".into(), body: message.body.bytes.clone(), odd, ..Seen::default() }
        };
        seen.upstream.extend(playback.upstream.get().map(end));
        seen.client.push(end(playback.reply.get().unwrap_or(&Message::default())));
    }
    pass(&mut stage, row.afterwards, &mut playback, &mut seen);
    if row.has_metadata() {
        (seen.upstream, seen.client) = (Vec::new(), Vec::new());
    }
    Ok(seen)
}

fn pass(stage: &mut Stage, milliseconds: u64, playback: &mut Playback, seen: &mut Observed) {
    if milliseconds > 0 {
        playback.clear();
        stage.advance(Duration::from_millis(milliseconds), playback);
        take(playback, seen);
    }
}

/// Each step takes its time, as with real peers.
fn connection(acts: &[Act]) -> Connection {
    let step = u64::try_from(BETWEEN.as_nanos()).unwrap_or(u64::MAX);
    let event = |(act, number): (&Act, u64)| {
        let (from, bytes, end) = match act {
            Act::Client(piece) => (Party::Client, piece.bytes(), false),
            Act::Upstream(piece) => (Party::Upstream, piece.bytes(), false),
            Act::ClientEnds => (Party::Client, Vec::new(), true),
            Act::UpstreamEnds => (Party::Upstream, Vec::new(), true),
        };
        Event { at: number * step, from, bytes, end }
    };
    let events: Vec<Event> = acts.iter().zip(1..).map(event).collect();
    let source = Some(peer("127.0.0.1:1000"));
    Connection { duration: (events.len() as u64 + 2) * step, events, source, ..Connection::default() }
}

fn spec(row: &str, filter: &Filter, guest: &Module) -> FilterSpec {
    let mut spec = FilterSpec::new(&filter.name, guest.clone());
    spec.root_id.clone_from(filter.kind.as_ref().unwrap_or(&filter.name));
    spec.vm_id = format!("{VM_PREFIX}{row}-{}", filter.vm.as_deref().unwrap_or(&filter.name));
    spec.config = configuration(filter).into_bytes();
    if let Some(config) = &filter.config {
        let own = message::configuration(config).and_then(Result::ok).unwrap_or_default();
        spec.vm_config = std::mem::replace(&mut spec.config, own);
    }
    spec.allowed_capabilities = filter.allowed.clone().unwrap_or_default();
    spec.allow_on_headers_stop_iteration = filter.allow_on_headers_stop_iteration;
    spec.policy = match filter.policy {
        Policy::Closed => FailurePolicy::Closed,
        Policy::Open => FailurePolicy::Open,
        Policy::Reload => FailurePolicy::Reload,
        Policy::LegacyOpen => FailurePolicy::LegacyOpen,
    };
    spec
}

/// The exchange as Envoy's filters see it: pseudo headers in the order of the protocol, what the connection
/// manager appends, no framing of the request, all of the response.
fn exchange(name: &str, row: &Row, step: &Step) -> Exchange {
    let mut headers = Headers::new();
    let pseudo =
        [(":authority", HOST), (":path", step.path()), (":method", step.method()), (":scheme", "http")];
    for at in if step.http2 { [2, 3, 0, 1] } else { [0, 1, 2, 3] } {
        headers.push(pseudo[at].0.as_bytes(), pseudo[at].1.as_bytes());
    }
    headers.extend(step.all_headers());
    if step.http2 {
        join_cookies(&mut headers);
    }
    headers.push(b"x-forwarded-proto", b"http");
    let request = Message {
        headers,
        body: body(&step.body, step.chunked && !step.http2 && step.trailers.is_empty(), &step.metadata),
        trailers: request_trailers(step),
    };
    let response = match step.answer.end {
        End::Complete => {
            let mut message = message(&step.answer);
            if row.upstream_http2 || row.has_metadata() {
                // No body with its length in front.
                message.headers.remove(b"content-length");
            } else if step.http2 && !message.body.bytes.is_empty() && message.trailers.is_none() {
                // The upstream speaks HTTP/1: its body ends with an empty piece.
                message.body.chunks.push(0);
            }
            Slot::some(message)
        }
        _ => Slot::none(),
    };
    Exchange {
        request: Slot::some(request),
        response,
        protocol: if step.http2 { Protocol::Http2 } else { Protocol::Http11 },
        started: Some(STARTED),
        duration: Some(DURATION),
        source: Some(peer("127.0.0.1:1000")),
        destination: Some(peer("127.0.0.1:2000")),
        upstream: Some(peer("127.0.0.1:3000")),
        side: match row.proxy.direction.as_deref() {
            Some("INBOUND") => Side::Inbound,
            Some("OUTBOUND") => Side::Outbound,
            _ => Side::Unknown,
        },
        attributes: Attributes {
            route_name: row.proxy.route.clone(),
            cluster_name: Some(format!("up-{name}")),
            mtls: Some(false),
            ..Attributes::default()
        },
        ..Exchange::default()
    }
}

fn peer(address: &str) -> Peer {
    Peer { address: address.into(), identity: None }
}

fn request_trailers(step: &Step) -> Slot<Headers> {
    let mut fields = trailers(&step.trailers);
    fields.get_mut().filter(|_| step.http2).into_iter().for_each(join_cookies);
    fields
}

/// HTTP/2 splits a cookie into crumbs; a recording shows them joined (docs/envoy.md 2.1.5).
fn join_cookies(headers: &mut Headers) {
    let crumbs: Vec<String> =
        headers.get_all(b"cookie").map(|c| String::from_utf8_lossy(c).into_owned()).collect();
    if headers.remove(b"cookie") > 0 {
        headers.push(b"cookie", crumbs.join("; ").as_bytes());
    }
}

fn message(answer: &row::Answer) -> Message {
    let mut headers: Headers = [(":status", answer.status.to_string())].into_iter().collect();
    headers.extend(answer.all_headers());
    Message {
        headers,
        body: body(&answer.body, answer.chunked && answer.trailers.is_empty(), &answer.metadata),
        trailers: trailers(&answer.trailers),
    }
}

fn trailers(fields: &[(String, String)]) -> Slot<Headers> {
    if fields.is_empty() { Slot::none() } else { Slot::some(fields.iter().cloned().collect()) }
}

/// A large piece arrives in reads of this size, as off a socket.
const READ: usize = 16 << 10;

fn body(pieces: &[Piece], ends_alone: bool, metadata: &[Frame]) -> Body {
    let (mut bytes, mut chunks) = (Vec::new(), Vec::new());
    if ends_alone && pieces.is_empty() {
        chunks.push(0);
    }
    for piece in pieces.iter().map(Piece::bytes) {
        chunks.extend(piece.chunks(READ).map(|read| read.len() as u32));
        bytes.extend(piece);
    }
    let length = Some(bytes.len() as u64);
    let frame =
        |frame: &Frame| Metadata { after: frame.after, fields: frame.fields.iter().cloned().collect() };
    Body { bytes, chunks, length, metadata: metadata.iter().map(frame).collect(), ..Body::default() }
}

fn take(playback: &Playback, seen: &mut Observed) {
    take_logs(&playback.logs, seen);
    seen.faults.extend(playback.faults.iter().map(|fault| fault.kind.code().to_owned()));
    for callout in playback.callouts.iter().filter(|c| c.token != 0) {
        seen.callouts.entry(callout.cluster.clone()).or_default().push(request_seen(&callout.request, false));
    }
}

fn take_logs(logs: &[Log], seen: &mut Observed) {
    let line = |log: &Log| String::from_utf8_lossy(&log.text).strip_prefix('~').map(str::to_owned);
    seen.log.extend(logs.iter().filter_map(line));
}

/// As a peer on HTTP/1 would have read it.
fn request_seen(message: &Message, bodiless: bool) -> Seen {
    let text = |name: &str| message.headers.text(name).unwrap_or("").to_owned();
    seen(message, format!("{} {}", text(":method"), text(":path")), bodiless, false)
}

fn client_seen(playback: &Playback, step: &Step) -> Seen {
    if step.leaves.is_some() {
        return Seen { start: LEFT.into(), ..Seen::default() };
    }
    let Some(reply) = playback.reply.get() else {
        let start = match playback.outcome {
            Outcome::Open => "no answer in time",
            _ => "closed without an answer",
        };
        return Seen { start: start.into(), ..Seen::default() };
    };
    let status = reply.headers.text(":status").unwrap_or("").to_owned();
    let mut seen = seen(reply, status, step.method() == "HEAD", step.http2);
    // Behind a content-length it is the length that tells, and these have no body for a client.
    let framed = !step.http2 && (unframed(reply) || reply.headers.text("content-length").is_some());
    if reply.body.truncated && !framed {
        seen.odd.insert(0, CUT.into());
    }
    if step.http2 {
        group(&mut seen.headers);
        group(&mut seen.trailers);
    }
    seen
}

/// A response of a status for which HTTP/1 frames no body: it comes without chunks, and a client expects none.
fn unframed(response: &Message) -> bool {
    let status = response.headers.text(":status").and_then(|digits| digits.parse::<u32>().ok());
    status.is_some_and(|status| status < 200 || matches!(status, 204 | 304))
}

/// The library of the client hands out fields of one name together.
fn group(fields: &mut [(String, Vec<u8>)]) {
    let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    fields.sort_by_key(|(name, _)| names.iter().position(|first| first == name));
}

fn seen(message: &Message, start: String, bodiless: bool, http2: bool) -> Seen {
    let mut seen = Seen { start, body: message.body.bytes.clone(), ..Seen::default() };
    for (name, value) in message.headers.iter() {
        let name = String::from_utf8_lossy(name).into_owned();
        match name.as_str() {
            ":authority" => seen.headers.push(("host".into(), value.trim_ascii().to_vec())),
            pseudo if pseudo.starts_with(':') => {}
            _ => seen.headers.push((name, value.trim_ascii().to_vec())),
        }
    }
    // HTTP/1 has no room for trailers behind a body whose length is told, nor where there are no chunks.
    let response = message.headers.text(":method").is_none();
    let framed =
        !http2 && (message.headers.text("content-length").is_some() || (response && unframed(message)));
    let trailers = message.trailers.get().filter(|_| !framed).into_iter().flat_map(|t| t.iter());
    seen.trailers = trailers
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.trim_ascii().to_vec()))
        .collect();
    if !bodiless {
        seen.check_length();
    }
    seen
}

/// The clusters of the row.
struct Told {
    answers: BTreeMap<String, Vec<row::Answer>>,
    calls: BTreeMap<String, usize>,
}

impl Told {
    fn new(row: &Row) -> Self {
        Self { answers: row.callouts.clone(), calls: BTreeMap::new() }
    }
}

impl Answers for Told {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let Some(answers) = self.answers.get(&callout.cluster) else { return Answer::UnknownCluster };
        let call = self.calls.entry(callout.cluster.clone()).or_default();
        let Some(answer) = answers.get(*call).or(answers.last()) else { return Answer::NoHosts };
        *call += 1;
        let after = Duration::from_millis(answer.after);
        match answer.end {
            End::Complete => match &answer.grpc {
                Some(grpc) => Answer::Grpc(grpc_reply(grpc, after)),
                None => Answer::Reply { message: plain(answer, callout), after },
            },
            End::Reset => Answer::Reset { after },
            End::ResetMidBody => match &answer.grpc {
                Some(grpc) => {
                    let mut reply = grpc_reply(grpc, after);
                    reply.messages.truncate(1);
                    Answer::Grpc(GrpcReply { end: GrpcEnd::Reset, ..reply })
                }
                None => Answer::ResetMidBody { after },
            },
            End::Never => Answer::Timeout,
        }
    }
}

/// A gRPC peer's answer, with the pauses that the peer of the real proxy makes.
fn grpc_reply(grpc: &Grpc, after: Duration) -> GrpcReply {
    let message = |text: &String| GrpcMessage { after: PAUSE, bytes: text.clone().into_bytes() };
    let status = GrpcStatus {
        code: grpc.status,
        text: grpc.text.clone().into_bytes(),
        trailers: grpc.trailers.iter().cloned().collect(),
    };
    GrpcReply {
        after,
        headers: grpc.headers.iter().cloned().collect(),
        messages: grpc.messages.iter().map(message).collect(),
        end: if grpc.open { GrpcEnd::Open } else { GrpcEnd::Status(status) },
    }
}

/// An answer that is no gRPC. A peer that speaks HTTP/2 frames no body with headers.
fn plain(answer: &row::Answer, callout: &Callout) -> Message {
    let mut message = message(answer);
    if callout.kind.is_grpc() {
        message.headers.remove(b"content-length");
    }
    message
}
