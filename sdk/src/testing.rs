//! Runs a filter natively against a proxy in memory: for unit tests of filters.
//!
//! Small on purpose: it knows phases, pause and resume, local replies and callouts, not Envoy's finer rules.
//! What ships is tested as wasm, by `tamis test`. One [`Proxy`] at a time in a thread.
//!
//! ```
//! use tamis_sdk::prelude::*;
//! use tamis_sdk::testing::{Answer, Message, Proxy};
//!
//! struct Check;
//!
//! impl Filter for Check {
//!     type Config = ();
//!
//!     fn new((): (), _root: &Root) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
//!         match Callout::get("idp", "idp.test", "/check").send().await {
//!             Ok(reply) if reply.is_success() => next.run(request).await,
//!             _ => Ok(Reply::new(403).into()),
//!         }
//!     }
//! }
//!
//! let mut proxy = Proxy::start::<Check>("")?.service(|_, _| Answer::Timeout);
//! let played = proxy.play(Message::get("/"));
//! assert_eq!(played.reply.map(|reply| reply.status()), Some(403));
//! assert_eq!(played.upstream, None);
//! # Ok::<(), String>(())
//! ```

use crate::exchange::Exchange;
use crate::filter::{Filter, Make, make};
use crate::host::{World, world};
use crate::metrics;
use crate::others::{self, Event};
use crate::root::RootState;
use crate::{AccessLog, TcpFilter, access_log, tasks, tcp};
mod services;

pub use services::{Answer, GrpcAnswer};
use std::rc::Rc;
use std::time::Duration;
use tamis_abi::{Action, BufferType, LogLevel, MapType, Status, StreamType};

mod connection;

pub use connection::{Act, PlayedConnection};

const ROOT: u32 = 1;

/// A request or response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Headers in order, pseudo headers among them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body; sent in one piece.
    pub body: Vec<u8>,
    /// Trailers, which follow a body.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Message {
    /// A `GET` of a path at `example.test`.
    pub fn get(path: &str) -> Self {
        Self::request("GET", path)
    }

    /// A request.
    pub fn request(method: &str, path: &str) -> Self {
        Self::default()
            .header(":authority", "example.test")
            .header(":path", path)
            .header(":method", method)
            .header(":scheme", "http")
    }

    /// A response.
    pub fn response(status: u16) -> Self {
        Self::default().header(":status", status.to_string())
    }

    /// One more header, as it is.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The body. No `content-length` is added.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// One more trailer, as it is.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    fn is_bodiless(&self) -> bool {
        self.body.is_empty() && self.trailers.is_empty()
    }

    /// All values of a header, as text where they are, joined with `, `. `None` when there is none.
    pub fn text(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }

    /// `:status` of a response; 0 when there is none.
    pub fn status(&self) -> u16 {
        self.text(":status").and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// What one exchange came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Played {
    /// What the upstream got, if anything.
    pub upstream: Option<Message>,
    /// What the client got; `None` when it still waits.
    pub reply: Option<Message>,
    /// `grpc-status` given with a reply of the filter, -1 for "from the HTTP status".
    pub grpc_status: Option<i32>,
    /// Why, as the filter's reply said.
    pub details: Option<String>,
    /// Callouts in order.
    pub callouts: Vec<Called>,
    /// Lines in the log.
    pub logs: Vec<(LogLevel, String)>,
}

/// A callout that the filter made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The cluster.
    pub cluster: String,
    /// What was sent.
    pub message: Message,
    /// How long the answer may take.
    pub timeout: Duration,
}

type Upstream = Box<dyn FnMut(&Message) -> Message>;
type Service = Box<dyn FnMut(&str, &Message) -> Answer>;

/// A proxy in memory with one filter.
pub struct Proxy {
    root: Rc<RootState>,
    streams: u32,
    upstream: Upstream,
    service: Service,
    patience: Duration,
}

impl Proxy {
    /// Starts the filter with a configuration. Until told otherwise, the upstream answers 200 and callouts
    /// are not answered.
    ///
    /// # Errors
    /// The log line with which the filter refuses to start.
    pub fn start<F: Filter>(config: &str) -> Result<Self, String> {
        Self::start_with(make::<F>, config)
    }

    /// As [`start`](Self::start), for a filter of connections; [`play_connection`](Self::play_connection) plays them.
    ///
    /// # Errors
    /// As there.
    pub fn start_tcp<T: TcpFilter>(config: &str) -> Result<Self, String> {
        Self::start_with(tcp::make::<T>, config)
    }

    /// As [`start`](Self::start), for an access log: exchanges pass and are logged.
    ///
    /// # Errors
    /// As there.
    pub fn start_log<L: AccessLog>(config: &str) -> Result<Self, String> {
        Self::start_with(access_log::make::<L>, config)
    }

    fn start_with(make: Make, config: &str) -> Result<Self, String> {
        world(|w| {
            *w = World { live: vec![ROOT], ..World::default() };
            w.buffers.insert(BufferType::PluginConfiguration, config.as_bytes().to_vec());
        });
        metrics::forget();
        let root = RootState::new(ROOT, make);
        let mut proxy = Self {
            root: root.clone(),
            streams: ROOT,
            upstream: Box::new(|_| Message::response(200)),
            service: Box::new(|_, _| Answer::Silence),
            patience: Duration::ZERO,
        };
        let good = root.configure(config.len());
        world(|w| w.buffers.remove(&BufferType::PluginConfiguration));
        if !good {
            return Err(world(|w| w.logs.pop()).map(|(_, line)| line).unwrap_or_default());
        }
        proxy.answer_callouts(&mut Played::default());
        Ok(proxy)
    }

    /// Says how the upstream answers.
    pub fn upstream(mut self, upstream: impl FnMut(&Message) -> Message + 'static) -> Self {
        self.upstream = Box::new(upstream);
        self
    }

    /// Says how other services answer callouts, by cluster and message.
    pub fn service(mut self, service: impl FnMut(&str, &Message) -> Answer + 'static) -> Self {
        self.service = Box::new(service);
        self
    }

    /// Names the clusters that exist; all do otherwise.
    pub fn clusters(self, names: &[&str]) -> Self {
        world(|w| w.clusters = Some(names.iter().map(|name| (*name).to_owned()).collect()));
        self
    }

    /// Says what a foreign function does; there are none otherwise.
    pub fn foreign(self, name: &str, function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + 'static) -> Self {
        world(|w| w.foreign.insert(name.to_owned(), Rc::new(function)));
        self
    }

    /// How many gRPC calls and streams the filter cancelled.
    pub fn cancelled(&self) -> usize {
        world(|w| w.cancelled.len())
    }

    /// Sets a property, such as `["source", "address"]`.
    pub fn property(self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        world(|w| w.properties.insert(path.join("\0").into_bytes(), value.as_ref().to_vec()));
        self
    }

    /// Lets time pass; timers run.
    pub fn advance(&mut self, by: Duration) {
        let end = world(|w| w.now) + by;
        while self.tick(end) {
            self.answer_callouts(&mut Played::default());
        }
        world(|w| w.now = end);
    }

    /// Runs the timer if it is due by then. False when it is not.
    fn tick(&mut self, end: Duration) -> bool {
        let (period, next) = world(|w| (Duration::from_millis(w.tick_ms.into()), w.tick_at));
        if period.is_zero() || next > end {
            return false;
        }
        world(|w| {
            w.now = next;
            w.tick_at = next + period;
        });
        self.root.tick();
        true
    }

    /// How long clients wait while timers run; not at all unless said.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// The value of a counter or gauge, the count of a histogram.
    pub fn metric(&self, name: &str) -> Option<u64> {
        world(|w| w.metrics.iter().find(|(_, known, _)| known == name).map(|(_, _, value)| *value))
    }

    /// Plays one exchange.
    pub fn play(&mut self, request: Message) -> Played {
        let mut played = Played::default();
        self.streams += 1;
        let id = self.streams;
        world(|w| {
            w.live.push(id);
            w.logs.clear();
            w.reply = None;
            w.resumed.clear();
        });
        if !self.root.is_http() {
            return self.play_logged(id, request);
        }
        let exchange = Exchange::new(id, &self.root);
        let answer = match self.send_up(&exchange, request, &mut played) {
            Some(sent) => {
                let response = (self.upstream)(&sent);
                played.upstream = Some(sent);
                self.send_down(&exchange, response, &mut played)
            }
            None => None,
        };
        let replied = world(|w| w.reply.take());
        played.reply = match replied {
            Some(reply) => {
                played.grpc_status = Some(reply.grpc);
                played.details = Some(String::from_utf8_lossy(&reply.details).into_owned());
                let mut message = Message::response(u16::try_from(reply.code).unwrap_or(0)).body(reply.body);
                message.headers.extend(reply.headers);
                // Our own reply passes the response callbacks of Envoy; the filter must not touch it.
                Some(self.phase(&exchange, message))
            }
            None => answer,
        };
        exchange.end();
        exchange.retire();
        world(|w| {
            w.live.retain(|known| *known != id);
            played.logs = std::mem::take(&mut w.logs);
        });
        played
    }

    /// An exchange that no filter touches; the log sees it afterwards.
    fn play_logged(&mut self, id: u32, request: Message) -> Played {
        others::tell(id, Event::Create(&self.root));
        let reply = (self.upstream)(&request);
        world(|w| {
            w.maps.insert(MapType::HttpRequestHeaders, request.headers.clone());
            w.maps.insert(MapType::HttpResponseHeaders, reply.headers.clone());
            w.maps.insert(MapType::HttpResponseTrailers, reply.trailers.clone());
        });
        others::tell(id, Event::Log(None));
        world(|w| w.maps.clear());
        others::tell(id, Event::Done);
        let mut played = Played { upstream: Some(request), reply: Some(reply), ..Played::default() };
        self.answer_callouts(&mut played);
        world(|w| {
            w.live.retain(|known| *known != id);
            played.logs = std::mem::take(&mut w.logs);
        });
        played
    }

    /// The request's way up; `None` when it did not get there.
    fn send_up(&mut self, exchange: &Rc<Exchange>, request: Message, played: &mut Played) -> Option<Message> {
        let bodiless = request.is_bodiless();
        let Message { headers, body, trailers } = request;
        world(|w| w.maps.insert(MapType::HttpRequestHeaders, headers));
        let action = exchange.request_headers(bodiless);
        let on = self.settle(action, StreamType::Request, played);
        let headers = world(|w| w.maps.remove(&MapType::HttpRequestHeaders)).unwrap_or_default();
        if !on {
            return None;
        }
        let mut message = Message { headers, body, trailers };
        pour(exchange, &REQUEST, &mut message);
        if world(|w| w.reply.is_some()) { None } else { Some(message) }
    }

    fn send_down(
        &mut self,
        exchange: &Rc<Exchange>,
        response: Message,
        played: &mut Played,
    ) -> Option<Message> {
        let bodiless = response.is_bodiless();
        let Message { headers, body, trailers } = response;
        world(|w| w.maps.insert(MapType::HttpResponseHeaders, headers));
        let action = exchange.response_headers(bodiless);
        let on = self.settle(action, StreamType::Response, played);
        let headers = world(|w| w.maps.remove(&MapType::HttpResponseHeaders)).unwrap_or_default();
        if !on {
            return None;
        }
        let mut message = Message { headers, body, trailers };
        pour(exchange, &RESPONSE, &mut message);
        Some(message)
    }

    /// Our own reply on its way to the client.
    fn phase(&mut self, exchange: &Rc<Exchange>, reply: Message) -> Message {
        world(|w| w.maps.insert(MapType::HttpResponseHeaders, reply.headers));
        exchange.response_headers(reply.body.is_empty());
        let headers = world(|w| w.maps.remove(&MapType::HttpResponseHeaders)).unwrap_or_default();
        let mut message = Message { headers, body: reply.body, trailers: Vec::new() };
        pour(exchange, &RESPONSE, &mut message);
        message
    }

    /// Answers callouts until the phase is decided. True when the message goes on.
    fn settle(&mut self, action: Action, stream: StreamType, played: &mut Played) -> bool {
        let end = world(|w| w.now) + self.patience;
        let goes_on = |w: &mut World| action == Action::Continue || w.resumed.contains(&stream);
        loop {
            self.answer_callouts(played);
            if world(|w| w.reply.is_some() || goes_on(w)) || !self.tick(end) {
                return world(|w| w.reply.is_none() && goes_on(w));
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.root.end();
        tasks::forget(ROOT);
    }
}

/// One direction of bodies.
struct Direction {
    buffer: BufferType,
    map: MapType,
    body: fn(&Exchange, usize, bool) -> Action,
    trailers: fn(&Exchange) -> Action,
}

const REQUEST: Direction = Direction {
    buffer: BufferType::HttpRequestBody,
    map: MapType::HttpRequestTrailers,
    body: Exchange::request_body,
    trailers: Exchange::request_trailers,
};

const RESPONSE: Direction = Direction {
    buffer: BufferType::HttpResponseBody,
    map: MapType::HttpResponseTrailers,
    body: Exchange::response_body,
    trailers: Exchange::response_trailers,
};

/// A body's way through: one piece, then the empty last one of HTTP/1 (docs/envoy.md 2.2) or trailers.
fn pour(exchange: &Exchange, direction: &Direction, message: &mut Message) {
    let trailers = !message.trailers.is_empty();
    let body = std::mem::take(&mut message.body);
    if body.is_empty() && !trailers {
        return;
    }
    let mut out = Vec::new();
    let mut held = body;
    for last in [false, true] {
        let size = held.len();
        world(|w| w.buffers.insert(direction.buffer, std::mem::take(&mut held)));
        let action = match (last, trailers) {
            (true, true) => {
                world(|w| w.maps.insert(direction.map, std::mem::take(&mut message.trailers)));
                let action = (direction.trailers)(exchange);
                message.trailers = world(|w| w.maps.remove(&direction.map)).unwrap_or_default();
                action
            }
            _ => (direction.body)(exchange, size, last),
        };
        let after = world(|w| w.buffers.remove(&direction.buffer)).unwrap_or_default();
        if action == Action::Continue {
            out.extend(after);
        } else {
            held = after;
        }
    }
    message.body = out;
}

/// A host with nothing in it, in this thread: for tests of parts that need no proxy.
pub fn clean() {
    world(|w| *w = World::default());
    metrics::forget();
}

/// The next writes of shared data lose against another worker, who writes what was there again.
pub fn lose_writes(count: u32) {
    world(|w| w.lost_writes = count);
}

/// Shared data is refused from now on.
pub fn refuse_shared_data() {
    world(|w| w.refuses_shared = true);
}

/// How many keys shared data has.
pub fn shared_keys() -> usize {
    world(|w| w.shared.len())
}

/// Lets time pass without a proxy: no timer runs.
pub fn pass(time: Duration) {
    world(|w| w.now += time);
}

/// How often a metric was defined.
pub fn definitions() -> usize {
    world(|w| w.definitions)
}

/// Lines that were logged so far, without those of exchanges that were played.
pub fn lines() -> Vec<(LogLevel, String)> {
    world(|w| w.logs.clone())
}

/// As [`Proxy::foreign`], without a proxy.
pub fn foreign(name: &str, function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + 'static) {
    world(|w| w.foreign.insert(name.to_owned(), Rc::new(function)));
}
