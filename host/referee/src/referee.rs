//! An Envoy that plays exchanges one after another.

use crate::bootstrap::{self, BARRIER, REPLAY};
use crate::chain::{Chain, Cluster, Filter};
use crate::client::{self, LATE, LOOK, Leave, Request};
use crate::envoy::Envoy;
use crate::error::Error;
use crate::play::{Life, Seen};
use crate::services::Service;
use crate::told::{Board, Out, Told};
use crate::upstream::Server;
use crate::witness::{Ending, Story, is_barrier, is_begin};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tamis_traffic::answers::Nobody;
use tamis_traffic::inject::Moment;
use tamis_traffic::{
    Attributes, Callout, Exchange, Fault, FaultKind, Half, Message, Outcome, Peer, Playback, Protocol,
};

/// How much longer than a stream may stand still is waited for Envoy.
const GRACE: Duration = Duration::from_secs(5);

/// No call for so long after the start: filters have made those that they begin with.
const QUIET: Duration = Duration::from_millis(50);

/// Envoys that one run may lose: a filter that crashes Envoy each time is known by then.
const RESTARTS: u32 = 10;

/// A running Envoy with this chain, and a client and an upstream around it.
pub struct Referee {
    envoy: Envoy,
    board: Arc<Board>,
    upstream: Server,
    /// By index in the chain's clusters; none where a cluster has no host.
    services: Vec<Option<Server>>,
    chain: Chain,
    dead: Vec<bool>,
    life: Life,
    restarts: u32,
    lived: Lived,
}

/// What was true while the last exchange was played, in place of what was recorded.
#[derive(Debug, Default)]
struct Lived {
    began: u64,
    took: u64,
    ending: Ending,
    http2: bool,
}

impl Referee {
    /// Starts the servers and Envoy.
    ///
    /// # Errors
    /// When there is no Envoy, or it refuses the chain: a filter that does not accept its configuration, for
    /// instance; then its last log lines are in the error.
    pub fn start(mut chain: Chain) -> Result<Self, Error> {
        let board = Arc::new(Board::default());
        let answers = std::mem::replace(&mut chain.answers, Box::new(Nobody));
        let answers = Arc::new(Mutex::new(answers));
        let idle = chain.idle + GRACE;
        let upstream = Server::upstream(&board, idle)?;
        let serve = |cluster: &Cluster| {
            let service = Service::new(cluster, &answers, &board, idle);
            cluster.hosts.then(|| Server::start(move |stream| service.serve(stream))).transpose()
        };
        let services = chain.clusters.iter().map(serve).collect::<Result<Vec<_>, _>>()?;
        let envoy = launch(&chain, &upstream, &services, &board)?;
        let dead = vec![false; chain.filters.len()];
        Ok(Self {
            envoy,
            board,
            upstream,
            services,
            chain,
            dead,
            life: Life::Serves,
            restarts: 0,
            lived: Lived::default(),
        })
    }

    /// Plays one exchange. The recorded response plays the upstream. A filter that crashes or hangs Envoy is a
    /// fault of the playback; the next exchange has a new Envoy.
    ///
    /// # Errors
    /// When Envoy does not serve any more for another reason, or was lost too often.
    pub fn play(&mut self, exchange: &Exchange, playback: &mut Playback) -> Result<(), Error> {
        self.play_as(exchange, None, playback).map(drop)
    }

    /// Plays one whose client goes away (docs/envoy.md 1.5). False when there is no such moment in it, or the client had
    /// its answer before; then it is played to its end.
    ///
    /// # Errors
    /// As [`Referee::play`].
    pub fn play_until_left(
        &mut self,
        exchange: &Exchange,
        moment: Moment,
        playback: &mut Playback,
    ) -> Result<bool, Error> {
        let (request, response) = (exchange.request.get(), exchange.response.get());
        let has_body = |m: Option<&Message>| m.is_some_and(|m| !m.body.bytes.is_empty());
        let possible = match moment {
            Moment::RequestHeaders | Moment::Waiting => request.is_some(),
            Moment::RequestBody => has_body(request),
            Moment::ResponseHeaders => response.is_some(),
            Moment::ResponseBody => has_body(response),
        };
        // After an upgrade the two sides talk as they like: there is no moment that has a name.
        let moment = Some(moment).filter(|_| possible && !upgraded(exchange));
        self.play_as(exchange, moment, playback)
    }

    fn play_as(
        &mut self,
        exchange: &Exchange,
        leaves: Option<Moment>,
        playback: &mut Playback,
    ) -> Result<bool, Error> {
        playback.clear();
        self.revive()?;
        if exchange.events.is_some() {
            refuse(playback, FaultKind::NotSupported, "a TCP connection is not sent through Envoy");
            return Ok(false);
        }
        let Some(request) = exchange.request.get() else {
            refuse(playback, FaultKind::NotPlayable, "the recording has no request");
            return Ok(false);
        };
        let method = request.headers.text(":method").unwrap_or("GET");
        if method == "CONNECT" || !method.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            refuse(playback, FaultKind::NotSupported, "this method is not sent through Envoy");
            return Ok(false);
        }
        let upgrade = upgraded(exchange);
        let http2 = http2(exchange) && !upgrade;
        self.board.tell(answer(exchange, method, leaves));
        let out = Out::new(request, Half::Request, false);
        let (envoy, board) = (&self.envoy, &self.board);
        let reached = || match leaves {
            Some(Moment::RequestHeaders | Moment::RequestBody) => envoy.written().wait_log(LOOK, 0, is_begin),
            Some(Moment::ResponseHeaders | Moment::ResponseBody) => board.answered(),
            Some(Moment::Waiting) | None => board.held(),
        };
        let settle = || {
            barrier(envoy);
        };
        let request = Request {
            method,
            out: match leaves {
                Some(Moment::RequestHeaders) => out.begin(0),
                Some(Moment::RequestBody) => out.begin(1),
                _ => out,
            },
            upgrade,
            leave: leaves.map(|_| Leave { reached: &reached, settle: &settle }),
            content: request.headers.text("content-type").filter(|c| c.bytes().all(|b| b.is_ascii_graphic())),
            http2,
            limit: self.chain.idle + GRACE,
        };
        let began = now();
        let clock = Instant::now();
        let client = client::play(self.envoy.listener(REPLAY)?, &request, &self.board);
        // In whole microseconds, as Envoy's clock goes.
        self.lived.took = u64::try_from(clock.elapsed().as_micros()).unwrap_or(0).saturating_mul(1_000);
        let access = self.envoy.written().wait_access(request.limit);
        self.life = match (self.envoy.gone(), access && barrier(&self.envoy)) {
            (Some(status), _) => Life::Crashed(status),
            (None, true) => Life::Serves,
            // A process that is about to end may be a moment late.
            (None, false) => self.envoy.gone().map_or(Life::Hangs, Life::Crashed),
        };
        let lines = self.envoy.written().take_log();
        let story = Story::read(&lines, &self.chain.filters);
        let ending = self.envoy.written().take_access().first().map(|l| Ending::read(l)).unwrap_or_default();
        let expects = story.request.last().is_some_and(Option::is_some);
        let (arrived, callouts) = self.board.take(if expects { LATE } else { Duration::ZERO });
        if self.life != Life::Serves && story.deepest().is_none() {
            // It was gone before any filter saw the exchange.
            return Err(Error::Silent { what: "before a filter was reached", last: self.envoy.last() });
        }
        self.lived.began = story.began.map_or(began, |micros| micros * 1_000);
        self.lived.http2 = http2;
        self.lived.ending = Ending::clone(&ending);
        let client = if self.life == Life::Serves { client? } else { client.unwrap_or_default() };
        let seen = Seen {
            exchange,
            filters: &self.chain.filters,
            story,
            ending,
            arrived,
            callouts,
            client: client.response,
            left: client.left,
            life: self.life,
            dead: &mut self.dead,
        };
        seen.fill(playback);
        Ok(client.left)
    }

    /// Makes of an exchange what it was when it was last played here: time, addresses, names. A host that is
    /// to be compared has to live in the same world.
    pub fn relive(&self, exchange: &mut Exchange) {
        let Lived { began, took, ending, http2 } = &self.lived;
        let peer = |address: &str| Some(Peer { address: address.to_owned(), identity: None });
        exchange.started = Some(*began);
        exchange.duration = Some(*took);
        exchange.protocol = if *http2 { Protocol::Http2 } else { Protocol::Http11 };
        exchange.source = peer(&ending.source);
        exchange.destination = peer(&ending.destination);
        exchange.upstream = peer(&ending.upstream);
        exchange.side = tamis_traffic::Side::Unknown;
        exchange.attributes = Attributes {
            cluster_name: Some(self.chain.proxy.cluster().to_owned()),
            response_code_details: Some(ending.details.clone()).filter(|d| !d.is_empty()),
            response_flags: Some(ending.flags.clone()).filter(|f| !f.is_empty()),
            mtls: Some(false),
            ..Attributes::default()
        };
    }

    /// Whether Envoy has a cluster of this name for callouts.
    pub fn knows(&self, cluster: &str) -> bool {
        self.chain.clusters.iter().any(|known| known.name == cluster)
    }

    /// Calls of the last exchange may still be on their way when it is over (a filter calls in `proxy_on_log`, for
    /// instance): waits a moment until `playback` has as many as there are `others`, with as many bytes.
    pub fn await_callouts<'a>(
        &self,
        others: impl Iterator<Item = &'a Callout> + Clone,
        playback: &mut Playback,
    ) {
        let bytes = |callouts: &[Callout]| callouts.iter().map(|c| c.request.body.bytes.len()).sum::<usize>();
        let (calls, sent) = (others.clone().count(), others.map(|c| c.request.body.bytes.len()).sum());
        playback.callouts = self.board.callouts(LATE, |known| known.len() >= calls && bytes(known) >= sent);
    }

    /// A new Envoy in place of one that is gone.
    fn revive(&mut self) -> Result<(), Error> {
        if self.life == Life::Serves {
            return Ok(());
        }
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(Error::Restarts(RESTARTS));
        }
        self.envoy = launch(&self.chain, &self.upstream, &self.services, &self.board)?;
        self.dead.fill(false);
        self.life = Life::Serves;
        Ok(())
    }
}

fn launch(
    chain: &Chain,
    upstream: &Server,
    services: &[Option<Server>],
    board: &Board,
) -> Result<Envoy, Error> {
    let folder = tempfile::tempdir().map_err(Error::Folder)?;
    for (index, Filter { wasm, .. }) in chain.filters.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{index}.wasm")), wasm).map_err(Error::Folder)?;
    }
    let listeners = bootstrap::listeners(chain, folder.path());
    let hosts: Vec<Option<SocketAddr>> =
        services.iter().map(|server| server.as_ref().map(Server::address)).collect();
    let clusters = bootstrap::clusters(chain, upstream.address(), &hosts);
    let envoy = Envoy::start_in(folder, chain.proxy.node().as_ref(), &listeners, &clusters, "info", 1)?;
    // What filters logged while they started belongs to no exchange.
    if !barrier(&envoy) {
        return Err(Error::Silent { what: "after its start", last: envoy.last() });
    }
    if !services.is_empty() {
        // Neither do calls that they made meanwhile, on every thread of Envoy.
        board.quiet(QUIET, GRACE);
    }
    envoy.written().take_log();
    Ok(envoy)
}

/// Waits until all that the worker logged before is here; false when Envoy does not answer.
fn barrier(envoy: &Envoy) -> bool {
    let Ok(at) = envoy.listener(BARRIER) else { return false };
    let known = envoy.written().count(is_barrier);
    let request = Request {
        method: "GET",
        out: Out::default(),
        content: None,
        http2: false,
        upgrade: false,
        leave: None,
        limit: GRACE,
    };
    client::play(at, &request, &Board::default()).is_ok_and(|came| came.response.is_some())
        && envoy.written().wait_log(GRACE, known, is_barrier)
}

/// What the upstream answers: the recorded response, and of it what the client stays for.
fn answer(exchange: &Exchange, method: &str, leaves: Option<Moment>) -> Option<Told> {
    let most = match leaves {
        None => usize::MAX,
        Some(Moment::ResponseHeaders) => 0,
        Some(Moment::ResponseBody) => 1,
        Some(Moment::RequestHeaders | Moment::RequestBody | Moment::Waiting) => return None,
    };
    let response = exchange.response.get()?;
    let status = exchange.status();
    let bodiless = method == "HEAD" || matches!(status, Some(204 | 304));
    // Any other status is put in place behind the codec.
    let status = status.filter(|s| (200..=599).contains(s)).unwrap_or(200);
    let out = Out::new(response, Half::Response, bodiless);
    let out = if leaves.is_some() { out.begin(most) } else { out };
    Some(Told { status, out, upgrade: upgraded(exchange) })
}

/// An exchange that does not go through Envoy.
fn refuse(playback: &mut Playback, kind: FaultKind, text: &str) {
    playback.outcome = Outcome::Open;
    playback.faults.push(Fault { kind, filter: None, phase: "envoy", text: text.to_owned() });
}

/// A web socket, for instance: what follows is no HTTP. A request for one that the recording's upstream did not agree to
/// is an ordinary exchange, as the test host has it.
fn upgraded(exchange: &Exchange) -> bool {
    exchange.status() == Some(101)
}

/// As the test host has it: a recording that names no protocol is HTTP/1.1, or HTTP/2 for gRPC.
fn http2(exchange: &Exchange) -> bool {
    let request = exchange.request.get();
    let grpc = request.and_then(|m| m.headers.get(b"content-type")).unwrap_or_default();
    match exchange.protocol {
        Protocol::Http2 | Protocol::Http3 => true,
        Protocol::Http10 | Protocol::Http11 => false,
        Protocol::Unknown => matches!(grpc.strip_prefix(b"application/grpc"), Some([] | [b'+', ..])),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
