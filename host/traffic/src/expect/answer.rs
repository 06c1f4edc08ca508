//! What a traffic test answers to a callout.

use super::error::Problem;
use super::fields::{Fields, word};
use super::node::{Node, Value};
use super::read::{ANSWER_KEYS, duration};
use super::send;
use crate::answers::Answer;
use crate::{GrpcEnd, GrpcMessage, GrpcReply, GrpcStatus};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const HTTP_KEYS: [&str; 2] = ["status", "body"];
const GRPC_KEYS: [&str; 3] = ["grpc_status", "grpc_message", "message"];
const BOTH_KEYS: [&str; 2] = ["headers", "trailers"];
pub(super) const MESSAGE_KEYS: &[&str] = &["base64"];

/// How long an address counts, seconds; a test has no reason to say another.
const TIME_TO_LIVE: u32 = 60;

/// One of HTTP, gRPC, addresses, a reset and a timeout.
pub(super) fn read(node: &Node, file: &str) -> Result<Answer, Problem> {
    if !matches!(node.value, Value::Map(_)) {
        let timeout = word(node, &[("reset", false), ("timeout", true)])?;
        let reset = Answer::Reset { after: Duration::ZERO };
        return Ok(if timeout { Answer::Timeout } else { reset });
    }
    let fields = Fields::of(node, "`answer`", ANSWER_KEYS)?;
    let after = fields.read("delay", duration)?.unwrap_or_default();
    let flag = |key| {
        fields.read(key, |node| match node.value {
            Value::Bool(flag) => Ok(flag),
            _ => Err(node.expected("`true` or `false`")),
        })
    };
    let any = |keys: &[&str]| keys.iter().any(|key| fields.get(key).is_some());
    let (http, grpc, addresses) = (any(&HTTP_KEYS), any(&GRPC_KEYS), any(&["addresses"]));
    let (reset, timeout) = (flag("reset")?.unwrap_or(false), flag("timeout")?.unwrap_or(false));
    let kinds = [http, grpc, addresses, reset, timeout].into_iter().filter(|kind| *kind).count();
    if kinds > 1 || ((addresses || reset || timeout) && any(&BOTH_KEYS)) {
        return Err(Problem::new(
            node.at,
            "a reply, a gRPC reply, `addresses`, `reset` and `timeout` exclude each other",
        ));
    }
    Ok(match () {
        () if reset => Answer::Reset { after },
        () if timeout => Answer::Timeout,
        () if grpc => Answer::Grpc(reply(&fields, file, after)?),
        () if addresses => {
            let list = fields.read("addresses", |node| node.items().iter().map(address).collect())?;
            Answer::Addresses { addresses: list.unwrap_or_default(), after }
        }
        () => Answer::Reply { message: send::response(&fields, file)?, after },
    })
}

fn reply(fields: &Fields<'_>, file: &str, after: Duration) -> Result<GrpcReply, Problem> {
    let code = fields.read("grpc_status", |node| match node.value {
        Value::Int(code @ 0..=16) => Ok(code as u32),
        Value::Int(_) => Err(Problem::new(node.at, "grpc_status is not from 0 to 16")),
        _ => Err(node.expected("a number")),
    })?;
    let mut status = GrpcStatus { code: code.unwrap_or(0), ..GrpcStatus::default() };
    status.text = fields.read("grpc_message", |node| send::field_value(node, file))?.unwrap_or_default();
    let mut reply = GrpcReply { after, ..GrpcReply::default() };
    for (key, into) in [("headers", &mut reply.headers), ("trailers", &mut status.trailers)] {
        fields.read(key, |node| send::headers(node, file, into))?;
    }
    let message = |node| Ok(GrpcMessage { bytes: message(node, file)?, ..GrpcMessage::default() });
    // Success has a message, if only an empty one: without any it would be an error of the callee.
    let empty = || if status.code == 0 { vec![GrpcMessage::default()] } else { Vec::new() };
    reply.messages = fields
        .read("message", |node| node.items().iter().map(message).collect::<Result<_, _>>())?
        .unwrap_or_else(empty);
    reply.end = GrpcEnd::Status(status);
    Ok(reply)
}

/// Text, bytes as escapes, or `{ base64: … }`.
fn message(node: &Node, file: &str) -> Result<Vec<u8>, Problem> {
    if !matches!(node.value, Value::Map(_)) {
        return node.bytes(file, "a message");
    }
    let fields = Fields::of(node, "a message", MESSAGE_KEYS)?;
    let node = fields.need("base64", "a message")?;
    let mut bytes = Vec::new();
    match crate::encode::push_base64(node.as_text("base64")?.as_bytes(), &mut bytes) {
        true => Ok(bytes),
        false => Err(Problem::new(node.at, "this is no base64")),
    }
}

/// As a resolver gives it: without a port.
fn address(node: &Node) -> Result<(SocketAddr, u32), Problem> {
    let text = node.as_text("an address")?;
    let ip: IpAddr = text
        .parse()
        .map_err(|_| Problem::new(node.at, format!("`{}` is no IP address", text.escape_debug())))?;
    Ok((SocketAddr::new(ip, 0), TIME_TO_LIVE))
}
