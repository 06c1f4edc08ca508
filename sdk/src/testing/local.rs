//! An answer of the filter, as Envoy sends it (docs/envoy.md 2.5).

use super::Message;
use crate::host::SentReply;
use tamis_abi::grpc_of_http;

/// What of a request decides how an answer looks; known before the first filter runs.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) grpc: bool,
    pub(super) head: bool,
}

impl Asked {
    pub(super) fn by(request: &Message) -> Self {
        let first = |name: &[u8]| {
            let found = request.headers.iter().find(|(known, _)| known == name);
            found.map_or(&b""[..], |(_, value)| value.as_slice())
        };
        let grpc = matches!(first(b"content-type").strip_prefix(b"application/grpc"), Some([] | [b'+', ..]));
        Self { grpc, head: first(b":method") == b"HEAD" }
    }

    /// True when no body can follow, whatever the headers say.
    pub(super) fn gets_no_body(self, response: &Message) -> bool {
        self.head || matches!(response.status(), 204 | 304)
    }
}

/// The reply on the wire. Extra headers never override `:status` and `content-length`.
pub(super) fn shape(reply: SentReply, asked: Asked) -> Message {
    let extra = reply.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let extra: Vec<_> = extra.filter(|(name, _)| name != b":status" && name != b"content-length").collect();
    let typed = extra.iter().any(|(name, _)| name == b"content-type");
    let status = if asked.grpc { 200 } else { reply.code };
    let mut message = Message::default().header(":status", status.to_string());
    message.headers.extend(extra);
    if asked.grpc {
        if !typed {
            message = message.header("content-type", "application/grpc");
        }
        let status = if (0..=16).contains(&reply.grpc) { reply.grpc } else { grpc_of_http(reply.code) };
        message = message.header("grpc-status", status.to_string());
        if !reply.body.is_empty() {
            message = message.header("grpc-message", percent(&reply.body));
        }
        return message;
    }
    if reply.body.is_empty() {
        return message;
    }
    message = message.header("content-length", reply.body.len().to_string());
    if !typed {
        message = message.header("content-type", "text/plain");
    }
    if asked.head { message } else { message.body(reply.body) }
}

/// `grpc-message` is percent-encoded (gRPC over HTTP/2, "Responses").
fn percent(text: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        b'%' => "%25".to_owned(),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.iter().map(byte).collect()
}
