//! What was recorded against what was played.

mod fields;
mod noise;

pub use noise::{NOISE, Noise};

use crate::{
    Answered, Blame, Change, Changes, Exchange, Fault, Half, Headers, Kind, Message, Outcome, Playback,
    Section, Slot, Verdict,
};
use fields::Ignore;

/// The verdict on one playback, in a new [`Verdict`]. [`compare_into`] reuses one.
pub fn compare(exchange: &Exchange, playback: &Playback) -> Verdict {
    let mut verdict = Verdict::default();
    compare_into(exchange, playback, &mut verdict);
    verdict
}

/// The verdict on one playback. Allocates nothing once `verdict` has seen its like.
///
/// - Not a change: the order of fields with different names (a replaced field moves to the end, docs/envoy.md
///   2.1.6); how a body was cut into pieces; [`NOISE`].
/// - A filter that answers is compared by status only: its reply is its own.
/// - Without a recorded response only the request is compared, and [`Verdict::open`] says so.
pub fn compare_into(exchange: &Exchange, playback: &Playback, verdict: &mut Verdict) {
    verdict.clear();
    let changes = &mut verdict.changes;
    if let (Some(old), Some(new)) = (exchange.request.get(), playback.upstream.get()) {
        messages(Half::Request, old, new, changes);
    }
    if let (Some(old), Some(new)) = (exchange.response.get(), playback.reply.get()) {
        match playback.outcome {
            Outcome::Forwarded | Outcome::Open => messages(Half::Response, old, new, changes),
            Outcome::Answered(_) | Outcome::Failed | Outcome::Reset | Outcome::Stuck => {
                status(old, new, changes)
            }
        }
    }
    verdict.outcome = playback.outcome;
    verdict.open = playback.outcome == Outcome::Open;
    verdict.details.push_str(&playback.details);
    verdict.answered = answered(playback);
    let (kind, fault) = judge(playback, verdict);
    verdict.kind = kind;
    verdict.fault = fault.cloned();
}

/// What is different between two playbacks of one exchange: an old filter and a new one, or two hosts.
///
/// The same rules as [`compare_into`], but replies are compared in full, whoever gave them. Appends to
/// `changes`.
pub fn compare_playbacks(old: &Playback, new: &Playback, changes: &mut Changes) {
    let sides = [(Half::Request, &old.upstream, &new.upstream), (Half::Response, &old.reply, &new.reply)];
    for (half, old, new) in sides {
        match (old.get(), new.get()) {
            (Some(old), Some(new)) => messages(half, old, new, changes),
            (None, None) => {}
            (_, new) => changes.push(Change::Message { half, now: new.is_some() }),
        }
    }
}

fn judge<'a>(playback: &'a Playback, verdict: &Verdict) -> (Kind, Option<&'a Fault>) {
    let mut unclear = None;
    for fault in &playback.faults {
        match fault.kind.blame() {
            Blame::Filter => return (Kind::Broke, Some(fault)),
            // What follows a fault of ours or of the recording may be its consequence.
            Blame::Tool | Blame::Capture | Blame::Environment => return (Kind::Unclear, Some(fault)),
            // A filter must survive a callout that fails: whether it does is still to be seen.
            // So it must with what was injected.
            Blame::Expectation | Blame::Injection => unclear = unclear.or(Some(fault)),
        }
    }
    if unclear.is_some() {
        return (Kind::Unclear, unclear);
    }
    let kind = match playback.outcome {
        Outcome::Failed | Outcome::Stuck => Kind::Broke,
        Outcome::Reset if verdict.answered.is_none() => Kind::Broke,
        Outcome::Answered(_) | Outcome::Reset => Kind::Answered,
        Outcome::Forwarded | Outcome::Open if verdict.changes.is_empty() => Kind::Forwarded,
        Outcome::Forwarded | Outcome::Open => Kind::Changed,
    };
    (kind, None)
}

fn answered(playback: &Playback) -> Option<Answered> {
    let filter = match playback.outcome {
        Outcome::Answered(filter) => filter,
        // A filter that closes the stream has answered too, without a status.
        Outcome::Reset => playback.filters.iter().position(|trace| trace.answered && !trace.broke)?,
        _ => return None,
    };
    let Some(reply) = playback.reply.get() else {
        return Some(Answered { filter, status: None, grpc_status: None });
    };
    let status = reply.headers.text(":status").and_then(|text| text.parse().ok());
    let grpc = reply.trailers.get().and_then(|trailers| trailers.text("grpc-status"));
    let grpc_status = grpc.or_else(|| reply.headers.text("grpc-status")).and_then(|text| text.parse().ok());
    Some(Answered { filter, status, grpc_status })
}

fn status(old: &Message, new: &Message, changes: &mut Changes) {
    let name = b":status".as_slice();
    let (old, new) = (old.headers.get(name), new.headers.get(name));
    if old != new {
        changes.push(Change::Field { half: Half::Response, section: Section::Headers, name, old, new });
    }
}

/// Appends what is different between two messages.
pub(crate) fn messages(half: Half, old: &Message, new: &Message, changes: &mut Changes) {
    let ignore = match half {
        Half::Request => Ignore::Nothing,
        Half::Response => Ignore::Noise,
    };
    fields::diff(half, Section::Headers, ignore, &old.headers, &new.headers, changes);
    body(half, &old.body.bytes, &new.body.bytes, changes);
    trailers(half, &old.trailers, &new.trailers, changes);
}

fn body(half: Half, old: &[u8], new: &[u8], changes: &mut Changes) {
    // Empty ones are told by length: see `Headers::common_prefix` for what comparing them costs.
    if old.len() == new.len() && (old.is_empty() || old == new) {
        return;
    }
    let shorter = old.len().min(new.len());
    let at = old.iter().zip(new).position(|(a, b)| a != b).unwrap_or(shorter);
    changes.push(Change::Body { half, old: old.len() as u64, new: new.len() as u64, at: at as u64 });
}

fn trailers(half: Half, old: &Slot<Headers>, new: &Slot<Headers>, changes: &mut Changes) {
    static NONE: Headers = Headers::new();
    let (before, after) = (old.get().unwrap_or(&NONE), new.get().unwrap_or(&NONE));
    if old.is_some() != new.is_some() && before.is_empty() && after.is_empty() {
        return changes.push(Change::EmptyTrailers { half, now: new.is_some() });
    }
    fields::diff(half, Section::Trailers, Ignore::Nothing, before, after, changes);
}

#[cfg(test)]
mod tests;
