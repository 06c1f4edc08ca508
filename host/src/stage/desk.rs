//! Everything a running filter can reach: the stream, the world, and what it leaves behind.
//!
//! There is one desk in a stage. It is lent to a VM for the length of one callback and taken back after it,
//! so that host functions reach it without sharing and without locks.

use super::Crew;
use crate::callouts::{Answers, Callouts, Delivery, Nobody};
use crate::chain::{Reply, Stream};
use crate::properties::{Declared, FilterState};
use crate::world::{LimitReached, Metrics, Owner, Queues, Random, SharedData, Space, VirtualClock};
use crate::{FailurePolicy, Profile};
use std::collections::VecDeque;
use tamis_traffic::select::Expression;
use tamis_traffic::{
    Attributes, Callout, Exchange, Fault, FaultKind, Log, LogLevel, Peer, PropertyValue, Protocol, Side,
    http_date,
};

/// Most bytes that filters make the host keep for one playback (256 MiB): log lines, calls, what they add to bodies,
/// what is to happen after the callback. Envoy would grow until it is killed; beyond it the playback ends.
const KEPT_LIMIT: usize = 256 << 20;

/// What an entry costs beside its bytes, roughly.
const ENTRY_COST: usize = 64;

/// What a filter asked for that happens after its callback (docs/envoy.md 1.5: queued, in order of the calls).
#[derive(Debug)]
pub(crate) enum Action {
    Continue {
        filter: usize,
        stream: u32,
    },
    Close {
        filter: usize,
    },
    Reply {
        filter: usize,
        reply: Box<Reply>,
    },
    /// The end of a gRPC call that could not start.
    Deliver(Box<Delivery>),
}

/// A context of a VM, found by its id.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) id: u32,
    pub(crate) filter: usize,
    /// A stream context; else a root context.
    pub(crate) stream: bool,
}

/// Who is running.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct At {
    pub(crate) vm: usize,
    pub(crate) current: Context,
    /// As `proxy_set_effective_context` left it; the current one at the start of each callback.
    pub(crate) effective: Context,
    pub(crate) phase: &'static str,
    /// It sent a local reply, be it in vain: what it returns does not count (docs/envoy.md 1.1).
    pub(crate) stops: bool,
}

/// What stays the same about a filter, and its root context.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) config: Vec<u8>,
    pub(crate) vm_config: Vec<u8>,
    pub(crate) vm: usize,
    pub(crate) space: Space,
    /// Root context; 0 when the VM is dead.
    pub(crate) root: u32,
    /// Tick period, nanoseconds; 0 is none.
    pub(crate) tick: u64,
    /// When the next tick is due, wall nanoseconds.
    pub(crate) tick_at: u64,
    /// What `proxy_get_status` gives: the code is sticky (docs/envoy.md 2.6).
    pub(crate) status: (u32, Vec<u8>),
    /// `proxy_on_done` of the root said false and `proxy_done` has not come.
    pub(crate) leaving: bool,
    pub(crate) policy: FailurePolicy,
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// What its root declared with `declare_property`.
    pub(crate) declared: Vec<Declared>,
    /// What it made with `expr_create`, by token; none where it deleted one.
    pub(crate) expressions: Vec<Option<Expression>>,
    /// Bytes of their texts.
    pub(crate) expressed: usize,
}

/// What the recording knows beside the messages, kept for properties.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) protocol: Protocol,
    pub(crate) started: u64,
    pub(crate) duration: Option<u64>,
    pub(crate) source: Option<Peer>,
    pub(crate) destination: Option<Peer>,
    pub(crate) upstream: Option<Peer>,
    pub(crate) side: Side,
    pub(crate) attributes: Attributes,
}

/// See the module.
pub(crate) struct Desk {
    pub(crate) profile: Profile,
    pub(crate) clock: VirtualClock,
    pub(crate) random: Random,
    pub(crate) shared: SharedData,
    pub(crate) queues: Queues,
    pub(crate) metrics: Metrics,
    pub(crate) level: LogLevel,
    pub(crate) stream: Stream,
    pub(crate) known: Known,
    pub(crate) plugins: Vec<Plugin>,
    pub(crate) crew: Crew,
    pub(crate) at: At,
    pub(crate) actions: Vec<Action>,
    /// Messages arrived in queues: who has to be told.
    pub(crate) ready: VecDeque<(Owner, u32)>,
    pub(crate) callouts: Callouts,
    pub(crate) answers: Box<dyn Answers>,
    /// Calls into the host since it was last asked.
    pub(crate) host_calls: u32,
    /// Bytes that filters made the host keep for this playback.
    kept: usize,
    pub(crate) logs: Vec<Log>,
    pub(crate) made: Vec<Callout>,
    pub(crate) faults: Vec<Fault>,
    /// Filter state that filters stored for this stream.
    pub(crate) properties: FilterState,
    /// What is known of the proxy beside the recording: maps whose keys are the segments of properties.
    pub(crate) proxy: PropertyValue,
    /// Time follows the recording.
    pub(crate) follows_recording: bool,
}

impl Desk {
    /// What an idle VM holds.
    pub(crate) fn idle() -> Box<Self> {
        Box::new(Self {
            profile: Profile::default(),
            clock: VirtualClock::new(0),
            random: Random::new(0),
            shared: SharedData::new(),
            queues: Queues::default(),
            metrics: Metrics::default(),
            level: LogLevel::Info,
            stream: Stream::default(),
            known: Known::default(),
            plugins: Vec::new(),
            crew: Crew::idle(),
            at: At::default(),
            actions: Vec::new(),
            ready: VecDeque::new(),
            callouts: Callouts::default(),
            answers: Box::new(Nobody),
            host_calls: 0,
            kept: 0,
            logs: Vec::new(),
            made: Vec::new(),
            faults: Vec::new(),
            properties: FilterState::default(),
            proxy: PropertyValue::Map(Vec::new()),
            follows_recording: true,
        })
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, filter: Option<usize>, text: impl Into<String>) {
        let phase = self.at.phase;
        self.faults.push(Fault { kind, filter, phase, text: text.into() });
    }

    /// Counts an entry that a filter makes the host keep until the playback is over.
    #[inline]
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.kept = self.kept.saturating_add(bytes).saturating_add(ENTRY_COST);
    }

    /// What was kept is handed over.
    pub(crate) fn keep_anew(&mut self) {
        self.kept = 0;
    }

    /// Asked at each call into the host: one call adds at most what the filter's own memory holds. Whoever comes
    /// after the one that it ends begins anew.
    #[inline]
    pub(crate) fn has_room(&mut self) -> Result<(), LimitReached> {
        if self.kept <= KEPT_LIMIT {
            return Ok(());
        }
        self.kept = 0;
        Err(LimitReached { what: "memory of one playback", limit: KEPT_LIMIT, unit: "bytes" })
    }

    pub(crate) fn log(&mut self, level: LogLevel, text: &[u8]) {
        if level >= self.level {
            self.keep(text.len());
            let filter = self.at.effective.filter;
            self.logs.push(Log { filter, level, text: text.to_vec() });
        }
    }

    /// To be called before a filter reads or writes response headers: they may have left (docs/envoy.md 2.1.15).
    #[inline]
    pub(crate) fn manage_response(&mut self) {
        let now = self.clock.wall();
        self.stream.manage(self.known.protocol, || http_date(now));
    }

    /// Takes over what the recording knows beside the messages; memory is kept.
    pub(crate) fn know(&mut self, exchange: &Exchange) {
        if self.follows_recording
            && let Some(started) = exchange.started
        {
            self.clock.advance_to(started);
        }
        let known = &mut self.known;
        known.started = self.clock.wall();
        known.protocol = exchange.protocol;
        known.duration = exchange.duration;
        known.side = exchange.side;
        copy_peer(&mut known.source, &exchange.source);
        copy_peer(&mut known.destination, &exchange.destination);
        copy_peer(&mut known.upstream, &exchange.upstream);
        let (to, from) = (&mut known.attributes, &exchange.attributes);
        copy(&mut to.route_name, &from.route_name);
        copy(&mut to.cluster_name, &from.cluster_name);
        copy(&mut to.response_flags, &from.response_flags);
        copy(&mut to.response_code_details, &from.response_code_details);
        copy(&mut to.requested_server_name, &from.requested_server_name);
        to.mtls = from.mtls;
    }

    /// A live context of the running VM.
    pub(crate) fn find(&self, id: u32) -> Option<Context> {
        for (filter, plugin) in self.plugins.iter().enumerate() {
            if plugin.vm != self.at.vm {
                continue;
            }
            if plugin.root == id {
                return Some(Context { id, filter, stream: false });
            }
            if self.stream.alive && self.stream.seats.get(filter).is_some_and(|s| s.context == id) {
                return Some(Context { id, filter, stream: true });
            }
        }
        None
    }
}

/// Text into memory that is there already: a capture names the same peers and routes all along.
fn copy(to: &mut Option<String>, from: &Option<String>) {
    match (to.as_mut(), from) {
        (Some(to), Some(from)) => to.clone_from(from),
        (None, None) => {}
        (_, from) => to.clone_from(from),
    }
}

fn copy_peer(to: &mut Option<Peer>, from: &Option<Peer>) {
    match (to.as_mut(), from) {
        (Some(to), Some(from)) => {
            to.address.clone_from(&from.address);
            copy(&mut to.identity, &from.identity);
        }
        (None, None) => {}
        (_, from) => to.clone_from(from),
    }
}
