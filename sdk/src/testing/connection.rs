//! One connection through a filter, as Envoy has it (docs/envoy.md 2.13).

use super::{Called, Played, Proxy};
use crate::host::world;
use crate::others::{Event, tell};
use tamis_abi::{Action, BufferType, LogLevel, StreamType};

/// What an end of a connection does.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::tcp::{Connection, TcpFilter};
/// use tamis_sdk::testing::{Act, Proxy};
///
/// struct Through;
///
/// impl TcpFilter for Through {
///     type Config = ();
///
///     fn new((): (), _root: &Root) -> Result<Self> {
///         Ok(Self)
///     }
///
///     async fn handle(self: Rc<Self>, _connection: Connection) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// let acts = [Act::Client(b"ping"), Act::Upstream(b"pong"), Act::UpstreamEnds];
/// let played = Proxy::start_tcp::<Through>("")?.play_connection(&acts);
/// assert_eq!((played.upstream.as_deref(), &*played.client), (Some(&b"ping"[..]), &b"pong"[..]));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act<'a> {
    /// The client sends this, and it arrives in one piece.
    Client(&'a [u8]),
    /// The client sends nothing more.
    ClientEnds,
    /// The upstream sends this.
    Upstream(&'a [u8]),
    /// The upstream sends nothing more.
    UpstreamEnds,
}

/// What one connection came to.
///
/// ```
/// use tamis_sdk::testing::PlayedConnection;
///
/// fn was_refused(played: &PlayedConnection) -> bool {
///     played.closed && played.upstream.is_none() && played.client.is_empty()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlayedConnection {
    /// What the upstream got; `None` when it was not asked.
    pub upstream: Option<Vec<u8>>,
    /// What the client got.
    pub client: Vec<u8>,
    /// The filter closed it.
    pub closed: bool,
    /// The filter held something back until the end of the test.
    pub held: bool,
    /// Callouts in order.
    pub callouts: Vec<Called>,
    /// Lines in the log.
    pub logs: Vec<(LogLevel, String)>,
}

impl Proxy {
    /// Plays one connection through a TCP filter. What the upstream does before it was asked is left out.
    pub fn play_connection(&mut self, acts: &[Act<'_>]) -> PlayedConnection {
        self.streams += 1;
        let id = self.streams;
        world(|w| {
            w.live.push(id);
            w.logs.clear();
            w.resumed.clear();
            w.closed = false;
        });
        tell(id, Event::Create(&self.root));
        let mut out = PlayedConnection::default();
        let mut line =
            Line { id, proxy: self, out: &mut out, waiting: Vec::new(), ended: false, stopped: false };
        line.open();
        acts.iter().for_each(|act| line.act(*act));
        out.held = line.stopped;
        tell(id, Event::Done);
        world(|w| {
            w.live.retain(|known| *known != id);
            w.buffers.remove(&BufferType::DownstreamData);
            out.logs = std::mem::take(&mut w.logs);
        });
        out
    }
}

struct Line<'a> {
    id: u32,
    proxy: &'a mut Proxy,
    out: &'a mut PlayedConnection,
    /// What the client sent before the upstream was asked.
    waiting: Vec<u8>,
    ended: bool,
    /// The client's side is held.
    stopped: bool,
}

impl Line<'_> {
    fn open(&mut self) {
        self.tell(Event::Opened);
    }

    fn act(&mut self, act: Act<'_>) {
        if self.out.closed {
            return;
        }
        match act {
            Act::Client(bytes) => self.client(bytes, false),
            Act::ClientEnds => self.client(b"", true),
            Act::Upstream(bytes) => self.upstream(bytes, false),
            Act::UpstreamEnds => self.upstream(b"", true),
        }
    }

    fn client(&mut self, bytes: &[u8], end: bool) {
        self.ended |= end;
        if self.out.upstream.is_none() {
            return self.waiting.extend_from_slice(bytes);
        }
        let size = world(|w| {
            let held = w.buffers.entry(BufferType::DownstreamData).or_default();
            held.extend_from_slice(bytes);
            held.len()
        });
        self.tell(Event::Downstream { size, end: self.ended });
    }

    fn tell(&mut self, event: Event<'_>) {
        let action = tell(self.id, event).unwrap_or(Action::Continue);
        self.settle(action);
    }

    /// What follows a callback of the client's side, with all that callouts bring.
    fn settle(&mut self, action: Action) {
        self.stopped = action == Action::Pause;
        let mut played = Played::default();
        self.proxy.answer_callouts(&mut played);
        self.out.callouts.append(&mut played.callouts);
        self.out.closed |= world(|w| w.closed);
        let resumed = world(|w| std::mem::take(&mut w.resumed).contains(&StreamType::Downstream));
        if self.out.closed || (self.stopped && !resumed) {
            return;
        }
        self.stopped = false;
        if self.out.upstream.is_some() {
            return self.leave();
        }
        self.out.upstream = Some(Vec::new());
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() || self.ended {
            self.client(&waiting, self.ended);
        }
    }

    fn leave(&mut self) {
        let bytes = world(|w| w.buffers.remove(&BufferType::DownstreamData)).unwrap_or_default();
        self.out.upstream.get_or_insert_default().extend(bytes);
    }

    fn upstream(&mut self, bytes: &[u8], end: bool) {
        if self.out.upstream.is_none() {
            return;
        }
        let size = world(|w| {
            let held = w.buffers.entry(BufferType::UpstreamData).or_default();
            held.extend_from_slice(bytes);
            held.len()
        });
        let action = tell(self.id, Event::Upstream { size, end }).unwrap_or(Action::Continue);
        let closed = world(|w| w.closed);
        if action == Action::Continue && !closed {
            let bytes = world(|w| w.buffers.remove(&BufferType::UpstreamData)).unwrap_or_default();
            self.out.client.extend(bytes);
        }
        self.settle(if self.stopped { Action::Pause } else { Action::Continue });
    }
}
