//! gRPC as HTTP carries it: frames of messages, and what a peer sends back.

use crate::{Headers, Message};
use std::time::Duration;

/// What a gRPC peer sends back, or a part of it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct GrpcReply {
    /// How long it takes until it begins.
    pub after: Duration,
    /// Initial metadata beside `:status` and `content-type`.
    pub headers: Headers,
    /// The messages, in order.
    pub messages: Vec<GrpcMessage>,
    /// How it ends.
    pub end: GrpcEnd,
}

/// How a [`GrpcReply`] ends.
#[derive(Debug, Default, Clone, PartialEq)]
pub enum GrpcEnd {
    /// Not yet: the stream stays open.
    #[default]
    Open,
    /// With a status.
    Status(GrpcStatus),
    /// The peer resets the stream.
    Reset,
}

/// A message of a [`GrpcReply`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct GrpcMessage {
    /// How long it comes after what was before it.
    pub after: Duration,
    /// The message without its frame.
    pub bytes: Vec<u8>,
}

/// A status with all that comes with it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct GrpcStatus {
    /// `grpc-status`; 0 is success.
    pub code: u32,
    /// `grpc-message` as it is on the wire; not sent when it is empty.
    pub text: Vec<u8>,
    /// Trailing metadata beside those two.
    pub trailers: Headers,
}

impl GrpcReply {
    /// One message and success: what most unary methods answer.
    pub fn message(bytes: impl Into<Vec<u8>>) -> Self {
        let message = GrpcMessage { bytes: bytes.into(), ..GrpcMessage::default() };
        Self { messages: vec![message], end: GrpcEnd::Status(GrpcStatus::default()), ..Self::default() }
    }

    /// An error without a message.
    pub fn error(code: u32, text: impl Into<Vec<u8>>) -> Self {
        let status = GrpcStatus { code, text: text.into(), ..GrpcStatus::default() };
        Self { end: GrpcEnd::Status(status), ..Self::default() }
    }

    /// Headers and trailers are one block: an error before everything else (gRPC over HTTP/2, "Trailers-Only").
    pub fn trailers_only(&self) -> bool {
        let error = matches!(&self.end, GrpcEnd::Status(status) if status.code != 0);
        self.headers.is_empty() && self.messages.is_empty() && error
    }

    /// The headers of the response: `:status`, `content-type`, the initial metadata.
    pub fn head(&self) -> Headers {
        let mut head: Headers =
            [(":status", "200"), ("content-type", "application/grpc")].into_iter().collect();
        head.extend(self.headers.iter());
        head
    }

    /// The response on the wire, without its times; none when it does not end with a status.
    pub fn to_wire(&self) -> Option<Message> {
        let GrpcEnd::Status(status) = &self.end else { return None };
        let mut wire = Message { headers: self.head(), ..Message::default() };
        if self.trailers_only() {
            status.write(&mut wire.headers);
            return Some(wire);
        }
        for message in &self.messages {
            append_frame(&message.bytes, &mut wire.body.bytes);
        }
        status.write(wire.trailers.fill());
        Some(wire)
    }
}

impl GrpcStatus {
    /// Appends status, text and trailing metadata.
    pub fn write(&self, into: &mut Headers) {
        into.push(b"grpc-status", self.code.to_string().as_bytes());
        if !self.text.is_empty() {
            into.push(b"grpc-message", &self.text);
        }
        into.extend(self.trailers.iter());
    }
}

/// Bytes of a frame before its message: a flag and the length.
const FRAME: usize = 5;

/// Appends a message in its frame. Messages are shorter than 4 GiB, as all bodies here.
pub fn append_frame(message: &[u8], into: &mut Vec<u8>) {
    into.push(0);
    into.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend_from_slice(message);
}

/// One frame of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The flag; 1 is a compressed message.
    pub flag: u8,
    /// The message.
    pub message: &'a [u8],
}

/// The whole frames of a body; a torn one at the end is left out.
pub fn frames(mut body: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = body.split_first_chunk::<FRAME>()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (message, rest) = rest.split_at_checked(length)?;
        body = rest;
        Some(Frame { flag: head[0], message })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_a_torn_one_does_not() {
        let mut body = Vec::new();
        append_frame(b"one", &mut body);
        append_frame(b"", &mut body);
        let whole = body.len();
        append_frame(b"torn", &mut body);
        body.pop();
        let messages: Vec<_> = frames(&body).map(|f| f.message).collect();
        assert_eq!(messages, [&b"one"[..], b""]);
        assert_eq!(frames(&body[..whole - 1]).count(), 1);
        assert_eq!(frames(&[0, 0xff, 0xff, 0xff, 0xff]).count(), 0);
    }

    #[test]
    fn an_error_before_everything_else_is_one_block() {
        let wire = GrpcReply::error(7, "no").to_wire().unwrap();
        assert_eq!(
            (wire.headers.text("grpc-status"), wire.headers.text("grpc-message")),
            (Some("7"), Some("no"))
        );
        assert!(wire.trailers.is_none());
        let wire = GrpcReply::message("yes").to_wire().unwrap();
        assert_eq!(wire.body.bytes, b"\0\0\0\0\x03yes");
        assert_eq!(wire.trailers.get().and_then(|t| t.text("grpc-status")), Some("0"));
    }
}
