//! A host in memory, for native tests of filters. `crate::testing` moves it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tamis_abi::{BufferType, LogLevel, MapType, MetricType, Status, StreamType, pairs};

mod kinds;
mod maps;
mod random;
mod services;

pub(crate) use kinds::*;
pub(crate) use maps::*;
pub(crate) use random::Random;
pub(crate) use services::*;

type Result<T> = std::result::Result<T, Status>;

/// Headers as a list.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A local reply that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct SentReply {
    pub(crate) code: u32,
    pub(crate) details: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Pairs,
    pub(crate) grpc: i32,
}

/// What a [`SentCall`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Http,
    /// A gRPC call.
    Unary,
    /// A message on a gRPC stream.
    Stream,
    /// The filter's end of a gRPC stream.
    Finish,
}

/// A foreign function.
pub(crate) type Foreign = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>>>;

/// A callout that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct SentCall {
    pub(crate) token: u32,
    pub(crate) kind: CallKind,
    pub(crate) cluster: String,
    pub(crate) headers: Pairs,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Duration,
}

/// What the host holds. Maps and buffers that are not there are not available in this phase.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) maps: BTreeMap<MapType, Pairs>,
    pub(crate) buffers: BTreeMap<BufferType, Vec<u8>>,
    pub(crate) logs: Vec<(LogLevel, String)>,
    pub(crate) reply: Option<SentReply>,
    pub(crate) resumed: Vec<StreamType>,
    pub(crate) closed: bool,
    pub(crate) live: Vec<u32>,
    pub(crate) clusters: Option<Vec<String>>,
    pub(crate) calls: Vec<SentCall>,
    pub(crate) shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    pub(crate) metrics: Vec<(MetricType, String, u64)>,
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the wall clock showed at the start.
    pub(crate) wall: Duration,
    /// Since the start.
    pub(crate) now: Duration,
    pub(crate) tick_ms: u32,
    /// When the timer runs next.
    pub(crate) tick_at: Duration,
    /// gRPC streams that are open, without a message.
    pub(crate) streams: BTreeMap<u32, SentCall>,
    pub(crate) grpc_tokens: u32,
    /// gRPC calls and streams that the filter cancelled.
    pub(crate) cancelled: Vec<u32>,
    /// How the last gRPC call ended.
    pub(crate) status: (u32, Vec<u8>),
    /// Names and what lies there; a token is the place from 1.
    pub(crate) queues: Vec<(String, VecDeque<Vec<u8>>)>,
    /// Queues whose events are not told yet.
    pub(crate) ready: Vec<u32>,
    /// So many writes of shared data lose.
    pub(crate) lost_writes: u32,
    pub(crate) refuses_shared: bool,
    pub(crate) definitions: usize,
    pub(crate) foreign: BTreeMap<String, Foreign>,
    pub(crate) versions: u32,
    pub(crate) tokens: u32,
    pub(crate) random: Random,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Looks into the host or changes it.
pub(crate) fn world<T>(f: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(f)
}

/// Encodes as a host does.
pub(crate) fn encode(list: &Pairs) -> Vec<u8> {
    let list = list.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    let mut out = vec![0; pairs::encoded_len(list.clone())];
    pairs::encode(list, &mut out);
    out
}

fn decode(bytes: &[u8]) -> Pairs {
    let list = pairs::decode(bytes).map(|list| list.map(|(n, v)| (n.to_vec(), v.to_vec())).collect());
    list.unwrap_or_default()
}

pub(crate) fn log(level: LogLevel, text: &str) {
    world(|w| w.logs.push((level, text.to_owned())));
}

pub(crate) fn log_level() -> LogLevel {
    LogLevel::Trace
}

pub(crate) fn buffer_size(kind: BufferType) -> Result<usize> {
    world(|w| w.buffers.get(&kind).map(Vec::len).ok_or(Status::NotFound))
}

pub(crate) fn buffer(kind: BufferType, size: usize) -> Result<Vec<u8>> {
    let found = world(|w| w.buffers.get(&kind).cloned()).ok_or(Status::NotFound)?;
    Ok(found[..size.min(found.len())].to_vec())
}

pub(crate) fn set_buffer(kind: BufferType, old: usize, new: &[u8]) -> Result<()> {
    world(|w| {
        let found = w.buffers.get_mut(&kind).ok_or(Status::BadArgument)?;
        let old = old.min(found.len());
        found.splice(..old, new.iter().copied());
        Ok(())
    })
}

/// The first of two wins (docs/envoy.md 2.5).
pub(crate) fn send_reply(code: u32, details: &[u8], body: &[u8], headers: &[u8], grpc: i32) -> Result<()> {
    let (details, body) = (details.to_vec(), body.to_vec());
    let reply = SentReply { code, details, body, headers: decode(headers), grpc };
    world(|w| {
        w.reply.get_or_insert(reply);
    });
    Ok(())
}

pub(crate) fn continue_stream(stream: StreamType) -> Result<()> {
    world(|w| w.resumed.push(stream));
    Ok(())
}

pub(crate) fn set_effective_context(id: u32) -> Result<()> {
    world(|w| if w.live.contains(&id) { Ok(()) } else { Err(Status::BadArgument) })
}

/// Only a linked module cares what a filter uses.
pub(crate) fn mark_request_body() {}

/// As [`mark_request_body`].
pub(crate) fn mark_response_body() {}

/// As [`mark_request_body`].
pub(crate) fn mark_request_trailers() {}

/// As [`mark_request_body`].
pub(crate) fn mark_response_trailers() {}

/// Answers go to the root here anyway.
pub(crate) fn route_callouts(_root: u32) {}

pub(crate) fn http_call(cluster: &str, headers: &[u8], body: &[u8], timeout_ms: u32) -> Result<u32> {
    let timeout = Duration::from_millis(timeout_ms.into());
    let headers = settled(MapType::HttpRequestHeaders, decode(headers));
    world(|w| {
        if w.clusters.as_ref().is_some_and(|known| !known.iter().any(|name| name == cluster)) {
            return Err(Status::BadArgument);
        }
        w.tokens += 4;
        let (cluster, body) = (cluster.to_owned(), body.to_vec());
        let (token, kind) = (w.tokens, CallKind::Http);
        w.calls.push(SentCall { token, kind, cluster, headers, body, timeout });
        Ok(w.tokens)
    })
}

pub(crate) fn shared_get(key: &[u8]) -> Result<(Vec<u8>, u32)> {
    world(|w| match w.refuses_shared {
        true => Err(Status::InternalFailure),
        false => w.shared.get(key).cloned().ok_or(Status::NotFound),
    })
}

pub(crate) fn shared_set(key: &[u8], value: &[u8], cas: u32) -> Result<()> {
    world(|w| {
        if w.refuses_shared {
            return Err(Status::InternalFailure);
        }
        w.versions += 1;
        let known = w.shared.get_mut(key);
        if cas != 0 && w.lost_writes > 0 {
            w.lost_writes -= 1;
            if let Some((_, version)) = known {
                *version = w.versions;
            }
            return Err(Status::CasMismatch);
        }
        if cas != 0 && known.is_some_and(|(_, known)| *known != cas) {
            return Err(Status::CasMismatch);
        }
        w.shared.insert(key.to_vec(), (value.to_vec(), w.versions));
        Ok(())
    })
}

/// Each definition gives a new id; the value is kept by kind and name (docs/envoy.md 2.8).
pub(crate) fn define_metric(kind: MetricType, name: &str) -> Result<u32> {
    world(|w| {
        w.definitions += 1;
        let known = w.metrics.iter().position(|(k, n, _)| *k == kind && n == name);
        let at = known.unwrap_or_else(|| {
            w.metrics.push((kind, name.to_owned(), 0));
            w.metrics.len() - 1
        });
        u32::try_from(at).map_err(|_| Status::InternalFailure)
    })
}

fn metric<T>(id: u32, f: impl FnOnce(MetricType, &mut u64) -> Result<T>) -> Result<T> {
    world(|w| match w.metrics.get_mut(id as usize) {
        Some((kind, _, value)) => f(*kind, value),
        None => Err(Status::NotFound),
    })
}

pub(crate) fn increment_metric(id: u32, by: i64) -> Result<()> {
    metric(id, |kind, value| match kind {
        MetricType::Counter if by <= 0 => Err(Status::BadArgument),
        MetricType::Histogram => Err(Status::BadArgument),
        _ => {
            *value = value.wrapping_add_signed(by);
            Ok(())
        }
    })
}

/// Of a histogram the count is kept.
pub(crate) fn record_metric(id: u32, new: u64) -> Result<()> {
    metric(id, |kind, value| {
        match kind {
            MetricType::Counter => *value += new,
            MetricType::Gauge => *value = new,
            MetricType::Histogram => *value += 1,
        }
        Ok(())
    })
}

pub(crate) fn property(path: &[u8]) -> Result<Vec<u8>> {
    world(|w| w.properties.get(path).cloned().ok_or(Status::NotFound))
}

pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<()> {
    world(|w| w.properties.insert(path.to_vec(), value.to_vec()));
    Ok(())
}

pub(crate) fn wall_nanos() -> Result<u64> {
    nanos(world(|w| w.wall + w.now))
}

/// An hour at the start, so that a filter which counts back from now does not end below zero.
pub(crate) fn monotonic_nanos() -> Result<u64> {
    nanos(world(|w| Duration::from_secs(3600) + w.now))
}

fn nanos(time: Duration) -> Result<u64> {
    u64::try_from(time.as_nanos()).map_err(|_| Status::InternalFailure)
}

/// The same bytes in each run.
pub(crate) fn random(out: &mut [u8]) -> Result<()> {
    world(|w| w.random.fill(out));
    Ok(())
}

pub(crate) fn set_tick(ms: u32) -> Result<()> {
    world(|w| {
        w.tick_ms = ms;
        w.tick_at = w.now + Duration::from_millis(ms.into());
    });
    Ok(())
}
