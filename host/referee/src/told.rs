//! What the two ends of the wire are told to send, and what came to them.

use crate::pack::pack;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tamis_traffic::{Body, Callout, Half, Headers, Message};

/// A message as it is sent: its header list travels packed, a witness puts it in place.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) packed: Vec<String>,
    /// Its pieces; none: the message ends with its headers.
    pub(crate) body: Option<Vec<Vec<u8>>>,
    pub(crate) trailers: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Its end does not come.
    pub(crate) open: bool,
}

impl Out {
    /// `bodiless`: the message has no body by rule, whatever was recorded.
    pub(crate) fn new(message: &Message, half: Half, bodiless: bool) -> Self {
        let trailers = message.trailers.get().map(|t| t.iter().map(|(n, v)| (n.into(), v.into())).collect());
        let trailers = trailers.filter(|_| !bodiless);
        let body = pieces(&message.body).filter(|_| !bodiless);
        let body = body.or_else(|| trailers.is_some().then(Vec::new));
        let said = message.headers.text("content-length").and_then(|v| v.trim().parse::<u64>().ok());
        let cut = !bodiless && said.is_some_and(|said| said != message.body.bytes.len() as u64);
        let mut marks = Vec::new();
        match half {
            Half::Request if cut => marks.push("cut-request"),
            Half::Response if cut => marks.push("cut-response"),
            _ => {}
        }
        if half == Half::Request && message.headers.get(b"x-forwarded-proto").is_none() {
            marks.push("no-proto");
        }
        Self { packed: pack(&message.headers, &marks), body, trailers, open: false }
    }

    /// Headers and so many pieces of a body, if it has one; the rest never comes.
    pub(crate) fn begin(mut self, most: usize) -> Self {
        if let Some(body) = &mut self.body {
            body.truncate(most);
            (self.trailers, self.open) = (None, true);
        }
        self
    }
}

/// The pieces in which a body travels (docs/envoy.md 2.2); none when headers end the message.
fn pieces(body: &Body) -> Option<Vec<Vec<u8>>> {
    let has = !body.bytes.is_empty()
        || !body.chunks.is_empty()
        || body.truncated
        || body.length.is_some_and(|length| length > 0);
    if !has {
        return None;
    }
    let sum: u64 = body.chunks.iter().map(|c| u64::from(*c)).sum();
    if sum != body.bytes.len() as u64 {
        return Some(vec![body.bytes.clone()]);
    }
    let mut rest = &body.bytes[..];
    let piece = |length: &u32| {
        let (piece, more) = rest.split_at(*length as usize);
        rest = more;
        piece.to_vec()
    };
    let mut pieces: Vec<Vec<u8>> = body.chunks.iter().map(piece).collect();
    if pieces.is_empty() {
        pieces.push(body.bytes.clone());
    }
    pieces.retain(|p| !p.is_empty());
    Some(pieces)
}

/// A message as it came.
#[derive(Debug, Default)]
pub(crate) struct In {
    /// With `:status` in a response; as on the wire in a request.
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
    /// It broke off before its end.
    pub(crate) cut: bool,
}

/// The upstream's answer to the exchange that is under way.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) out: Out,
    /// A 101: the pieces of the body follow it in turns with the client's.
    pub(crate) upgrade: bool,
}

/// After an upgrade: how many pieces the client sent when it has sent them all.
const ALL: usize = usize::MAX;

#[derive(Default)]
struct State {
    told: Option<Arc<Told>>,
    arrived: Vec<In>,
    callouts: Vec<Callout>,
    /// The upstream has sent what it was told to.
    answered: bool,
    /// After an upgrade: pieces that the client sent, and turns that the upstream took since.
    turns: (usize, usize),
    /// Rises with each exchange: places in the list before mean nothing then.
    round: u64,
}

/// A call that may send more.
pub(crate) struct Call {
    round: u64,
    place: usize,
    /// As it was started.
    head: Callout,
}

/// Shared by whoever plays and the servers.
#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    bell: Condvar,
}

impl Board {
    /// From now on the upstream answers so; none: it keeps silent.
    pub(crate) fn tell(&self, told: Option<Told>) {
        let mut state = self.lock();
        state.told = told.map(Arc::new);
        (state.answered, state.turns) = (false, (0, 0));
        state.arrived.clear();
        state.callouts.clear();
        state.round += 1;
    }

    /// What the upstream is told.
    pub(crate) fn told(&self) -> Option<Arc<Told>> {
        self.lock().told.clone()
    }

    /// The upstream has sent what it was told to.
    pub(crate) fn answer(&self) {
        self.lock().answered = true;
    }

    /// True once it has.
    pub(crate) fn answered(&self) -> bool {
        self.lock().answered
    }

    /// After an upgrade: the client has sent so many pieces, or all (none). Waits for the upstream's turn to pass.
    pub(crate) fn sent(&self, pieces: Option<usize>, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        state.turns.0 = pieces.unwrap_or(ALL);
        while pieces.is_some_and(|pieces| state.turns.1 < pieces) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.bell.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    /// After an upgrade: whether it is the upstream's turn, and whether the client has sent all.
    pub(crate) fn turn(&self) -> (bool, bool) {
        let (sent, taken) = self.lock().turns;
        (sent > taken, sent == ALL)
    }

    /// After an upgrade: the upstream has taken its turn.
    pub(crate) fn taken(&self) {
        self.lock().turns.1 += 1;
        self.bell.notify_all();
    }

    /// A request has come, in whole or cut off. Gives the answer to it.
    pub(crate) fn arrive(&self, request: In) -> Option<Arc<Told>> {
        let mut state = self.lock();
        state.arrived.push(request);
        self.bell.notify_all();
        state.told.clone()
    }

    /// A service was called.
    pub(crate) fn call(&self, callout: Callout) -> Call {
        let mut state = self.lock();
        let call = Call { round: state.round, place: state.callouts.len(), head: callout.clone() };
        state.callouts.push(callout);
        self.bell.notify_all();
        call
    }

    /// A call sends more. What comes in a later exchange than its start is an entry of its own.
    pub(crate) fn more(&self, call: &mut Call, bytes: &[u8]) {
        let mut state = self.lock();
        if call.round != state.round {
            (call.round, call.place) = (state.round, state.callouts.len());
            state.callouts.push(call.head.clone());
        }
        if let Some(callout) = state.callouts.get_mut(call.place) {
            callout.request.body.bytes.extend_from_slice(bytes);
        }
        self.bell.notify_all();
    }

    /// True once a request has come that will not be answered.
    pub(crate) fn held(&self) -> bool {
        let state = self.lock();
        state.told.is_none() && state.arrived.iter().any(|r| !r.cut)
    }

    /// What came, once something did or the time is over.
    pub(crate) fn take(&self, limit: Duration) -> (Vec<In>, Vec<Callout>) {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        while state.arrived.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.bell.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        (std::mem::take(&mut state.arrived), state.callouts.clone())
    }

    /// The callouts, once they are enough or the time is over.
    pub(crate) fn callouts(&self, limit: Duration, enough: impl Fn(&[Callout]) -> bool) -> Vec<Callout> {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        while !enough(&state.callouts) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.bell.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        state.callouts.clone()
    }

    /// Waits until no service was called for so long, but not longer than `limit`.
    pub(crate) fn quiet(&self, pause: Duration, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            let known = state.callouts.len();
            let waited = self.bell.wait_timeout(state, pause).unwrap_or_else(|e| e.into_inner());
            state = waited.0;
            let quiet = waited.1.timed_out() && state.callouts.len() == known;
            if quiet || Instant::now() > end {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_travels_in_its_pieces_and_none_is_made_up() {
        let body = |bytes: &[u8], chunks: &[u32], truncated| Body {
            bytes: bytes.into(),
            chunks: chunks.into(),
            truncated,
            ..Body::default()
        };
        assert_eq!(pieces(&body(b"", &[], false)), None);
        assert_eq!(pieces(&body(b"", &[], true)), Some(vec![]));
        assert_eq!(pieces(&body(b"abc", &[], false)), Some(vec![b"abc".to_vec()]));
        assert_eq!(pieces(&body(b"abc", &[1, 0, 2], false)), Some(vec![b"a".to_vec(), b"bc".to_vec()]));
        assert_eq!(pieces(&body(b"abc", &[1], false)), Some(vec![b"abc".to_vec()]));
    }
}
