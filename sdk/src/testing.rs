//! Runs a filter natively against a proxy in memory: for unit tests of filters.
//!
//! It has Envoy's manners with headers and local replies, and phases, pause and resume, callouts, timers and shared
//! data; of what a recording knows it has the properties that a test sets. A native run and a wasm run of one exchange
//! give the same: `tests/tests/native.rs` holds that over all recorded traffic. What ships is tested as wasm, by
//! `tamis test`. One [`Proxy`] at a time in a thread.
//!
//! ```
//! use tamis_sdk::prelude::*;
//! use tamis_sdk::testing::{self, Answer, Message};
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
//! // Scripted callouts: by cluster and message.
//! let mut proxy = testing::run::<Check>("").service(|_, message| match message.text("x-user") {
//!     _ if message.text(":path").as_deref() != Some("/check") => Answer::Reset,
//!     None => Answer::Timeout,
//!     Some(_) => Answer::Reply(Message::response(200)),
//! });
//! let played = proxy.play(Message::get("/"));
//! assert_eq!(played.to_client().status(), 403);
//! assert_eq!(played.upstream, None);
//! assert_eq!(played.callouts[0].cluster, "idp");
//! ```
//!
//! Time stands still unless a test moves it, and randomness is that of a seed: see [`Setup`].

use crate::filter::Filter;
use crate::host::{World, settled, world};
use crate::metrics;
use crate::others::{self, Event};
use crate::root::RootState;
use crate::{AccessLog, TcpFilter, access_log, streams, tasks, tcp};
use local::Asked;
use pour::{REQUEST, RESPONSE, pour};
use std::rc::Rc;
use std::time::Duration;
use tamis_abi::{Action, LogLevel, MapType, Status, StreamType};

mod connection;
mod local;
mod message;
mod pour;
mod services;
mod setup;

pub use connection::{Act, PlayedConnection};
pub use message::{Called, Message, Played};
pub use services::{Answer, GrpcAnswer};
pub use setup::{Setup, run};

const ROOT: u32 = 1;

type Upstream = Box<dyn FnMut(&Message) -> Option<Message>>;
type Service = Box<dyn FnMut(&str, &Message) -> Answer>;

/// A proxy in memory with one filter.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::testing::{Message, Proxy};
///
/// fn status_of<F: Filter>(path: &str) -> Result<u16, String> {
///     let mut proxy = Proxy::start::<F>("{}")?.upstream(|_| Message::response(204));
///     Ok(proxy.play(Message::get(path)).to_client().status())
/// }
/// ```
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
        Setup::default().start::<F>(config)
    }

    /// As [`start`](Self::start), for a filter of connections; [`play_connection`](Self::play_connection) plays them.
    ///
    /// # Errors
    /// As there.
    pub fn start_tcp<T: TcpFilter>(config: &str) -> Result<Self, String> {
        Setup::default().start_with(tcp::make::<T>, config)
    }

    /// As [`start`](Self::start), for an access log: exchanges pass and are logged.
    ///
    /// # Errors
    /// As there.
    pub fn start_log<L: AccessLog>(config: &str) -> Result<Self, String> {
        Setup::default().start_with(access_log::make::<L>, config)
    }

    /// Says how the upstream answers; with `None` it does not.
    pub fn upstream<R: Into<Option<Message>>>(
        mut self,
        mut upstream: impl FnMut(&Message) -> R + 'static,
    ) -> Self {
        self.upstream = Box::new(move |request| upstream(request).into());
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

    /// What the wall clock shows: time since 1970-01-01 UTC.
    pub fn now(&self) -> Duration {
        world(|w| w.wall + w.now)
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
        streams::open(id, &self.root);
        let asked = Asked::by(&request);
        let answer = match self.send_up(id, request, &mut played) {
            Some(sent) => {
                let response = (self.upstream)(&sent);
                played.upstream = Some(sent);
                response.and_then(|response| self.send_down(id, asked, response, &mut played))
            }
            None => None,
        };
        let replied = world(|w| w.reply.take());
        played.reply = match replied {
            Some(reply) => {
                played.grpc_status = Some(reply.grpc);
                let details = String::from_utf8_lossy(&reply.details);
                played.details = Some(details.replace(|c: char| c.is_ascii_whitespace(), "_"));
                let message = local::shape(reply, asked);
                // Our own reply passes the response callbacks of Envoy; the filter must not touch it.
                Some(self.phase(id, message))
            }
            None => answer,
        };
        streams::done(id);
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
            if let Some(reply) = &reply {
                w.maps.insert(MapType::HttpResponseHeaders, reply.headers.clone());
                w.maps.insert(MapType::HttpResponseTrailers, reply.trailers.clone());
            }
        });
        others::tell(id, Event::Log(None));
        world(|w| w.maps.clear());
        others::tell(id, Event::Done);
        let mut played = Played { upstream: Some(request), reply, ..Played::default() };
        self.answer_callouts(&mut played);
        world(|w| {
            w.live.retain(|known| *known != id);
            played.logs = std::mem::take(&mut w.logs);
        });
        played
    }

    /// The request's way up; `None` when it did not get there.
    fn send_up(&mut self, id: u32, request: Message, played: &mut Played) -> Option<Message> {
        let bodiless = request.is_bodiless();
        let Message { headers, body, trailers } = request;
        let headers = settled(MapType::HttpRequestHeaders, headers);
        world(|w| w.maps.insert(MapType::HttpRequestHeaders, headers));
        let action = streams::tell(id, |exchange| exchange.request_headers(bodiless));
        let on = self.settle(action, StreamType::Request, played);
        let headers = world(|w| w.maps.remove(&MapType::HttpRequestHeaders)).unwrap_or_default();
        if !on {
            return None;
        }
        let mut message = Message { headers, body, trailers };
        pour(id, &REQUEST, &mut message);
        if world(|w| w.reply.is_some()) { None } else { Some(message) }
    }

    fn send_down(
        &mut self,
        id: u32,
        asked: Asked,
        mut response: Message,
        played: &mut Played,
    ) -> Option<Message> {
        if asked.gets_no_body(&response) {
            response.body.clear();
        }
        let bodiless = response.is_bodiless();
        let Message { headers, body, trailers } = response;
        let headers = settled(MapType::HttpResponseHeaders, headers);
        world(|w| w.maps.insert(MapType::HttpResponseHeaders, headers));
        let action = streams::tell(id, |exchange| exchange.response_headers(bodiless));
        let on = self.settle(action, StreamType::Response, played);
        let headers = world(|w| w.maps.remove(&MapType::HttpResponseHeaders)).unwrap_or_default();
        if !on {
            return None;
        }
        let mut message = Message { headers, body, trailers };
        pour(id, &RESPONSE, &mut message);
        Some(message)
    }

    /// Our own reply on its way to the client.
    fn phase(&mut self, id: u32, reply: Message) -> Message {
        world(|w| w.maps.insert(MapType::HttpResponseHeaders, reply.headers));
        streams::tell(id, |exchange| exchange.response_headers(reply.body.is_empty()));
        let headers = world(|w| w.maps.remove(&MapType::HttpResponseHeaders)).unwrap_or_default();
        let mut message = Message { headers, body: reply.body, trailers: Vec::new() };
        pour(id, &RESPONSE, &mut message);
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
