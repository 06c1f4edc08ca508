//! Calls on their way, in virtual time, and what a callback may read of an answer.

use crate::world::LimitReached;
use tamis_traffic::{Callout, CalloutKind, Headers, Message};

/// Calls that may be on their way at once, and events of their answers. A filter that calls in every tick and is never
/// answered would fill memory; beyond it the playback ends with a fault.
const PENDING_LIMIT: usize = 10_000;

/// Why a call did not start.
#[derive(Debug)]
pub(crate) enum Refused {
    BadArgument,
    /// A gRPC service that is neither an encoded message nor a known cluster.
    NoService,
    CannotStart,
    TooMany(LimitReached),
}

/// Something that a callback is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// An HTTP answer; `broken` is a reset in the middle of the body: no headers, status 11.
    Http { message: Message, broken: bool },
    /// gRPC: initial metadata.
    Initial(Headers),
    /// gRPC: a message.
    Received(Vec<u8>),
    /// gRPC: trailing metadata.
    Trailing(Headers),
    /// gRPC: trailing metadata that is the head of the peer's response, and all of it.
    Alone(Headers),
    /// gRPC: the end.
    Closed { status: u32, text: Vec<u8> },
    /// Addresses of a name, as the filter gets them.
    Resolved(Vec<u8>),
}

/// What a callback gets.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) filter: usize,
    /// The VM that called.
    pub(crate) vm: usize,
    /// Its root context then: a fresh VM is not told of calls of the dead one.
    pub(crate) root: u32,
    pub(crate) token: u32,
    pub(crate) due: u64,
    pub(crate) event: Event,
}

/// What a callback may read of the answer that it is told of.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// Maps 6 and 7, buffer 4.
    pub(crate) http: Option<Message>,
    /// Map 4.
    pub(crate) initial: Option<Headers>,
    /// Map 5.
    pub(crate) trailing: Option<Headers>,
    /// Buffer 5.
    pub(crate) received: Option<Vec<u8>>,
    /// Buffer 8.
    pub(crate) resolved: Option<Vec<u8>>,
}

/// A gRPC call or stream that the filter can still name.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) filter: usize,
    pub(super) vm: usize,
    pub(super) root: u32,
    pub(super) token: u32,
    /// The filter called `proxy_grpc_close`.
    pub(super) closed_here: bool,
    /// It said the end of its half with a message or by closing: what it sends now goes nowhere.
    pub(super) ended: bool,
    /// The peer's end was delivered.
    pub(super) closed_there: bool,
    /// The peer's initial metadata is on its way or was delivered.
    pub(super) headed: bool,
    /// The host function that starts it has not returned yet.
    pub(super) inside: bool,
    /// Envoy's other client has it.
    pub(super) google: bool,
    /// When the last event that is on its way is due.
    pub(super) last_due: u64,
    /// As it was started.
    pub(super) callout: Callout,
}

impl Live {
    /// A call or stream that just started; a call has said all.
    pub(super) fn new(callout: Callout, vm: usize, root: u32, now: u64) -> Self {
        Self {
            filter: callout.filter,
            vm,
            root,
            token: callout.token,
            closed_here: false,
            ended: callout.kind == CalloutKind::GrpcCall,
            closed_there: false,
            headed: false,
            inside: false,
            google: false,
            last_due: now,
            callout,
        }
    }
}

/// All calls of a stage.
#[derive(Debug, Default)]
pub(crate) struct Callouts {
    pub(super) pending: Vec<Delivery>,
    pub(super) live: Vec<Live>,
    pub(crate) open: Open,
    /// In the running callback a call could not start: the next callback inside a host function hangs Envoy's worker
    /// (docs/envoy.md 2.7).
    pub(crate) failed: bool,
    /// The last numbers given to each VM: HTTP, gRPC calls, gRPC streams, names.
    numbers: Vec<[u32; 4]>,
}

/// Before the first call: the kinds are in the low two bits, names count on their own (docs/envoy.md 2.6).
const FRESH: [u32; 4] = [0, 1, 2, 1];

impl Callouts {
    /// Lets the callback of an event read it: the callback's name, and the number that it gets beside its token.
    pub(crate) fn show(&mut self, event: Event) -> (&'static str, u32) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let open = &mut self.open;
        match event {
            Event::Http { message, broken } => {
                let size = count(message.body.bytes.len());
                open.http = (!broken).then_some(message);
                ("proxy_on_http_call_response", size)
            }
            Event::Initial(headers) => {
                let number = count(headers.len());
                open.initial = Some(headers);
                ("proxy_on_grpc_receive_initial_metadata", number)
            }
            Event::Received(message) => {
                let number = count(message.len());
                open.received = Some(message);
                ("proxy_on_grpc_receive", number)
            }
            Event::Trailing(headers) | Event::Alone(headers) => {
                let number = count(headers.len());
                open.trailing = Some(headers);
                ("proxy_on_grpc_receive_trailing_metadata", number)
            }
            Event::Closed { status, .. } => ("proxy_on_grpc_close", status),
            Event::Resolved(bytes) => {
                let number = count(bytes.len());
                open.resolved = Some(bytes);
                ("envoy_on_resolve_dns", number)
            }
        }
    }

    /// Nothing of an answer can be read any more.
    pub(crate) fn hide(&mut self) {
        self.open = Open::default();
    }

    /// As [`Callouts::hide`], for what was told inside of another callback: that one's answer stays.
    pub(crate) fn hide_inside(&mut self) {
        (self.open.initial, self.open.trailing, self.open.resolved) = (None, None, None);
    }

    /// When the next answer is due, wall nanoseconds.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.pending.iter().map(|d| d.due).min()
    }

    /// The next answer that is due by `now`, in order of time and then of the calls.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<Delivery> {
        let due = self.next_due().filter(|due| *due <= now)?;
        let at = self.pending.iter().position(|d| d.due == due)?;
        Some(self.pending.remove(at))
    }

    /// Lets it come when it is due.
    pub(crate) fn add(&mut self, delivery: Delivery) {
        self.pending.push(delivery);
    }

    /// Moves all that is due by nanoseconds.
    pub(crate) fn shift(&mut self, by: u64) {
        self.pending.iter_mut().for_each(|d| d.due = d.due.saturating_add(by));
        self.live.iter_mut().for_each(|l| l.last_due = l.last_due.saturating_add(by));
    }

    /// A VM died: its calls are cancelled (docs/envoy.md 2.6).
    pub(crate) fn cancel(&mut self, vm: usize) {
        self.pending.retain(|d| d.vm != vm);
        self.live.retain(|l| l.vm != vm);
    }

    /// 4, 8, 12, … for HTTP calls of each VM, 5, 9, … for gRPC calls, 6, 10, … for streams, 2, 3, … for names; a failed
    /// start burns a number (docs/envoy.md 2.6).
    pub(super) fn number(&mut self, vm: usize, kind: CalloutKind) -> u32 {
        let next = self.next_number(vm, kind);
        if self.numbers.len() <= vm {
            self.numbers.resize(vm + 1, FRESH);
        }
        self.numbers[vm][kind as usize] = next;
        next
    }

    /// What [`Callouts::number`] will give.
    pub(super) fn next_number(&self, vm: usize, kind: CalloutKind) -> u32 {
        let at = kind as usize;
        let step = if kind == CalloutKind::Resolve { 1 } else { 4 };
        let last = self.numbers.get(vm).map_or(FRESH[at], |numbers| numbers[at]);
        last.checked_add(step).unwrap_or(FRESH[at] + step)
    }

    /// A fresh VM counts from the start.
    pub(crate) fn forget_numbers(&mut self, vm: usize) {
        if let Some(numbers) = self.numbers.get_mut(vm) {
            *numbers = FRESH;
        }
    }

    /// Room for one more call.
    pub(super) fn room(&self) -> Result<(), Refused> {
        if self.pending.len() + self.live.len() < PENDING_LIMIT {
            return Ok(());
        }
        let (what, limit, unit) = ("list of pending callouts", PENDING_LIMIT, "calls");
        Err(Refused::TooMany(LimitReached { what, limit, unit }))
    }
}
