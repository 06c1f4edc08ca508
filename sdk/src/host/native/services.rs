//! gRPC, queues and foreign functions of the host in memory.

use super::{CallKind, Result, SentCall, decode, world};
use crate::wire::{Field, fields};
use std::time::Duration;
use tamis_abi::Status;

/// Field 1 of a message, when it is bytes.
fn first_field(message: &[u8]) -> &[u8] {
    match fields(message).next() {
        Some((1, Field::Bytes(bytes))) => bytes,
        _ => &[],
    }
}

fn start(target: &[u8], path: String, metadata: &[u8], first: u32) -> Result<SentCall> {
    let cluster = String::from_utf8_lossy(first_field(first_field(target))).into_owned();
    world(|w| {
        if w.clusters.as_ref().is_some_and(|known| !known.contains(&cluster)) {
            return Err(Status::InternalFailure);
        }
        w.grpc_tokens += 4;
        let token = first + w.grpc_tokens;
        let mut headers = vec![
            (b":method".to_vec(), b"POST".to_vec()),
            (b":path".to_vec(), path.into_bytes()),
            (b":authority".to_vec(), cluster.clone().into_bytes()),
            (b"content-type".to_vec(), b"application/grpc".to_vec()),
        ];
        headers.extend(decode(metadata));
        Ok(SentCall {
            token,
            kind: CallKind::Unary,
            cluster,
            headers,
            body: Vec::new(),
            timeout: Duration::ZERO,
        })
    })
}

pub(crate) fn grpc_call(
    target: &[u8],
    service: &str,
    method: &str,
    metadata: &[u8],
    message: &[u8],
    timeout_ms: u32,
) -> Result<u32> {
    let call = start(target, format!("/{service}/{method}"), metadata, 1)?;
    let (token, timeout) = (call.token, Duration::from_millis(timeout_ms.into()));
    world(|w| w.calls.push(SentCall { body: message.to_vec(), timeout, ..call }));
    Ok(token)
}

pub(crate) fn grpc_stream(target: &[u8], service: &str, method: &str, metadata: &[u8]) -> Result<u32> {
    let call = start(target, format!("/{service}/{method}"), metadata, 2)?;
    let token = call.token;
    world(|w| w.streams.insert(token, SentCall { kind: CallKind::Stream, ..call }));
    Ok(token)
}

fn on_stream(token: u32, body: &[u8], kind: CallKind) -> Result<()> {
    world(|w| {
        let stream = w.streams.get(&token).ok_or(Status::NotFound)?;
        let call = SentCall { body: body.to_vec(), kind, ..stream.clone() };
        w.calls.push(call);
        Ok(())
    })
}

pub(crate) fn grpc_send(token: u32, message: &[u8], _end: bool) -> Result<()> {
    on_stream(token, message, CallKind::Stream)
}

pub(crate) fn grpc_close(token: u32) -> Result<()> {
    on_stream(token, &[], CallKind::Finish)
}

pub(crate) fn grpc_cancel(token: u32) -> Result<()> {
    world(|w| {
        let calls = w.calls.len();
        w.calls.retain(|call| call.token != token);
        w.cancelled.push(token);
        let known = w.streams.remove(&token).is_some() || w.calls.len() < calls || token % 4 == 1;
        if known { Ok(()) } else { Err(Status::NotFound) }
    })
}

pub(crate) fn call_status() -> Result<(u32, Vec<u8>)> {
    Ok(world(|w| w.status.clone()))
}

pub(crate) fn queue_register(name: &str) -> Result<u32> {
    world(|w| {
        let known = w.queues.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            w.queues.push((name.to_owned(), Default::default()));
            w.queues.len() - 1
        });
        u32::try_from(at + 1).map_err(|_| Status::InternalFailure)
    })
}

/// One VM lives here, whatever it is called.
pub(crate) fn queue_resolve(_vm: &str, name: &str) -> Result<u32> {
    let known = world(|w| w.queues.iter().position(|(known, _)| known == name));
    known.and_then(|at| u32::try_from(at + 1).ok()).ok_or(Status::NotFound)
}

fn queue<T>(token: u32, f: impl FnOnce(&mut std::collections::VecDeque<Vec<u8>>) -> Result<T>) -> Result<T> {
    world(|w| match (token as usize).checked_sub(1).and_then(|at| w.queues.get_mut(at)) {
        Some((_, items)) => f(items),
        None => Err(Status::NotFound),
    })
}

pub(crate) fn queue_pop(token: u32) -> Result<Vec<u8>> {
    queue(token, |items| items.pop_front().ok_or(Status::Empty))
}

/// An event for each item, after the callback (docs/envoy.md 2.8).
pub(crate) fn queue_push(token: u32, item: &[u8]) -> Result<()> {
    queue(token, |items| {
        items.push_back(item.to_vec());
        Ok(())
    })?;
    world(|w| w.ready.push(token));
    Ok(())
}

/// Only a linked module cares what a filter uses.
pub(crate) fn mark_queue() {}

pub(crate) fn foreign(name: &str, arguments: &[u8]) -> Result<Vec<u8>> {
    let function = world(|w| w.foreign.get(name).cloned()).ok_or(Status::NotFound)?;
    function(arguments)
}

pub(crate) fn metric_value(id: u32) -> Result<u64> {
    super::metric(id, |kind, value| match kind {
        tamis_abi::MetricType::Histogram => Err(Status::BadArgument),
        _ => Ok(*value),
    })
}
