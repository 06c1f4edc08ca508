//! The host and everything in it that a filter can reach.

use crate::module::ENGINE;
use crate::{exchange, guest, one_line, whole};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;
use tamis_abi::AbiVersion;
use tamis_host::{Answer, Answers, FailurePolicy, FilterSpec, Module, Profile, Stage, Start};
use tamis_traffic::{
    Callout, Connection, Event, Exchange, FaultKind, GrpcEnd, GrpcMessage, GrpcReply, GrpcStatus, LogLevel,
    Message, Party, Playback, Protocol,
};

/// Fuel of a callback: some calls with their arguments. An endless loop ends in microseconds.
const FUEL: u64 = 100_000;
/// Memory of a VM: enough for what is handed over, and little enough to be used up.
const MEMORY: u64 = 1 << 20;
/// Virtual time after the traffic, for ticks and late answers.
const AFTERWARDS: Duration = Duration::from_millis(50);

static OLD: LazyLock<Module> = LazyLock::new(|| compiled(AbiVersion::V0_1_0));
static NEW: LazyLock<Module> = LazyLock::new(|| compiled(AbiVersion::V0_2_1));

fn compiled(abi: AbiVersion) -> Module {
    Module::load(&ENGINE, &guest::wasm(abi)).expect("the guest is a filter")
}

/// What the first bytes of an input say.
#[derive(Clone, Copy)]
struct Shape([u8; 4]);

impl Shape {
    fn says(self, byte: usize, bit: u8) -> bool {
        self.0[byte] >> bit & 1 == 1
    }

    fn filters(self) -> usize {
        1 + usize::from(self.says(0, 0))
    }
}

/// Plays traffic through one or two filters that call what the tape says. Whatever they do is a playback, or a fault
/// that is not the host's own, or a start that fails in one line; and the same again when it is played again.
pub fn host(data: &[u8]) {
    let Some((shape, tape)) = data.split_first_chunk::<4>() else { return };
    let shape = Shape(*shape);
    let first = play(shape, tape);
    if shape.says(2, 7) {
        let again = play(shape, tape);
        assert_eq!(first.len(), again.len());
        first.iter().zip(&again).for_each(|(a, b)| same(a, b));
    }
}

fn play(shape: Shape, tape: &[u8]) -> Vec<Playback> {
    let mut played = Vec::new();
    let mut stage = match stage(shape, tape) {
        Ok(stage) => stage,
        Err(error) => {
            one_line(&error);
            return played;
        }
    };
    let mut keep = |playback: &Playback| {
        sound(playback);
        played.push(playback.clone());
    };
    let mut playback = Playback::default();
    for turn in 0..2 {
        if shape.says(0, 2) {
            stage.play_connection(&connection(shape, turn), &mut playback);
        } else {
            stage.play(&request(shape, turn), &mut playback);
        }
        assert_eq!(playback.filters.len(), shape.filters());
        keep(&playback);
    }
    stage.advance(AFTERWARDS, &mut playback);
    keep(&playback);
    stage.metrics();
    stage.shutdown(&mut playback);
    keep(&playback);
    played
}

fn stage(shape: Shape, tape: &[u8]) -> Result<Stage, tamis_host::StartError> {
    let module = if shape.says(0, 1) { &OLD } else { &NEW };
    let profile = Profile::names().nth(usize::from(shape.0[3] & 7)).unwrap_or("envoy-1.40");
    let policy = match shape.0[0] >> 6 {
        0 => FailurePolicy::Closed,
        1 => FailurePolicy::Open,
        2 => FailurePolicy::Reload,
        _ => FailurePolicy::LegacyOpen,
    };
    let mut builder = Stage::builder(&ENGINE)
        .profile(Profile::parse(profile).expect("it is one of the names"))
        .fuel_per_callback(FUEL)
        .memory_limit(MEMORY)
        .log_level(LogLevel::Trace)
        .workers(1 + usize::from(shape.says(0, 4)))
        .answers(Box::new(Peers { next: shape.0[2] & 0x7f }));
    if shape.says(0, 5) {
        builder = builder.start(Start::LikeEnvoy);
    }
    let (first, second) = tape.split_at(tape.len() / shape.filters());
    let tapes = [first, if shape.says(0, 3) { first } else { second }];
    for (name, tape) in ["a", "b"].into_iter().zip(tapes).take(shape.filters()) {
        let mut filter = FilterSpec::new(name, (*module).clone());
        filter.vm_config = tape.to_vec();
        filter.config = b"configuration".to_vec();
        filter.env = vec![("KEY".into(), "value".into())];
        filter.policy = policy;
        builder = builder.filter(filter);
    }
    builder.build()
}

/// What holds for every playback.
fn sound(playback: &Playback) {
    for fault in &playback.faults {
        assert_ne!(fault.kind, FaultKind::Internal, "{fault}");
        one_line(fault);
    }
    for message in [&playback.upstream, &playback.reply].into_iter().filter_map(|m| m.get()) {
        whole(&message.body);
    }
}

/// Two playbacks of the same.
fn same(a: &Playback, b: &Playback) {
    assert_eq!((&a.upstream, &a.reply), (&b.upstream, &b.reply));
    assert_eq!((a.outcome, &a.details, &a.filters), (b.outcome, &b.details, &b.filters));
    assert_eq!((&a.callouts, &a.logs, &a.faults), (&b.callouts, &b.logs, &b.faults));
}

/// One of the exchanges that a recording may have.
fn request(shape: Shape, turn: u64) -> Exchange {
    let mut exchange = exchange();
    exchange.started = exchange.started.map(|started| started + turn * 1_000_000_000);
    exchange.protocol = if shape.says(1, 5) { Protocol::Http2 } else { Protocol::Http11 };
    if shape.says(1, 4) {
        exchange.response.clear();
    }
    let Some(request) = exchange.request.get_mut() else { return exchange };
    if shape.says(1, 0) {
        request.body.bytes.clear();
    } else {
        request.body.chunks = vec![4, 7];
    }
    if shape.says(1, 1) {
        request.trailers.fill().push(b"x-end", b"1");
    }
    if shape.says(1, 7) {
        request.headers.push(b"content-type", b"application/grpc");
    }
    let Some(response) = exchange.response.get_mut() else { return exchange };
    if shape.says(1, 6) {
        response.headers.set_value(0, b"101");
    }
    if shape.says(1, 2) {
        response.body.bytes.clear();
    }
    if shape.says(1, 3) {
        response.trailers.fill().push(b"grpc-status", b"0");
    }
    exchange
}

/// One of the connections.
fn connection(shape: Shape, turn: u64) -> Connection {
    let event = |at, from, bytes: &[u8], end| Event { at, from, bytes: bytes.to_vec(), end };
    let (client, upstream) = (Party::Client, Party::Upstream);
    let all = [
        event(0, client, b"", false),
        event(1_000_000, client, b"hello", false),
        event(2_000_000, upstream, b"welcome", false),
        event(3_000_000, client, b"bye", shape.says(1, 4)),
        event(4_000_000, upstream, b"", true),
        event(5_000_000, client, b"", true),
    ];
    let events =
        all.into_iter().enumerate().filter(|(at, _)| shape.says(1, *at as u8)).map(|(_, event)| event);
    Connection {
        started: Some(1_790_000_000_000_000_000 + turn * 1_000_000_000),
        duration: 6_000_000,
        events: events.collect(),
        ..Connection::default()
    }
}

/// Answers callouts, each in another way.
struct Peers {
    next: u8,
}

impl Peers {
    fn turn(&mut self) -> u8 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}

impl Answers for Peers {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let after = Duration::from_millis(u64::from(callout.timeout_ms & 3));
        match self.turn() % 12 {
            0 => Answer::Grpc(GrpcReply::message("yes")),
            1 => Answer::Grpc(GrpcReply::error(7, "no")),
            2 => Answer::Grpc(reply(GrpcEnd::Open)),
            3 => Answer::Grpc(reply(GrpcEnd::Reset)),
            4 => {
                let address: SocketAddr = ([10, 0, 0, 1], 80).into();
                Answer::Addresses { addresses: vec![(address, 30)], after }
            }
            5 => Answer::Timeout,
            6 => Answer::Reset { after },
            7 => Answer::ResetMidBody { after },
            8 => Answer::UnknownCluster,
            9 => Answer::NoHosts,
            10 => Answer::Unanswered,
            _ => {
                let mut message: Message = exchange().response.get().cloned().unwrap_or_default();
                message.trailers.fill().push(b"x-end", b"1");
                Answer::Reply { message, after }
            }
        }
    }

    fn sent(&mut self, _: &Callout, message: Option<&[u8]>, _: bool) -> Option<GrpcReply> {
        match self.turn() % 4 {
            0 => None,
            1 => Some(GrpcReply::message(message.unwrap_or_default())),
            2 => Some(reply(GrpcEnd::Status(GrpcStatus {
                code: 3,
                text: b"%41".to_vec(),
                ..GrpcStatus::default()
            }))),
            _ => Some(reply(GrpcEnd::Open)),
        }
    }
}

fn reply(end: GrpcEnd) -> GrpcReply {
    let message = |bytes: &[u8]| GrpcMessage { after: Duration::from_millis(1), bytes: bytes.to_vec() };
    GrpcReply {
        headers: [("x-a", "1")].into_iter().collect(),
        messages: vec![message(b"one"), message(b"")],
        end,
        ..GrpcReply::default()
    }
}
