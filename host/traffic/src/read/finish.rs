//! What the messages of a tap say beyond themselves: id, protocol, peers, gaps, headers that came late.

use super::{Context, Restore};
use crate::{Exchange, Gap, Headers, Peer, Protocol, Provenance, Side};

/// Where the headers are that finishing needs, found in the one pass that fills a list. Index + 1, 0 is none.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Noted {
    method: u32,
    path: u32,
    te: u32,
    content_type: u32,
    content_length: u32,
    request_id: u32,
    client_cert: u32,
    original_path: u32,
    late: bool,
}

impl Noted {
    /// Notes the field at `index` when its name is one of those.
    #[inline]
    pub(super) fn note(&mut self, name: &[u8], index: usize) {
        let at = index as u32 + 1;
        match name.len() {
            2 if name == b"te" => self.te = at,
            5 if name == b":path" => self.path = at,
            7 if name == b":method" => self.method = at,
            12 if name == b"x-request-id" => self.request_id = at,
            12 if name == b"content-type" => self.content_type = at,
            14 if name == b"content-length" => self.content_length = at,
            21 if name == b"x-envoy-original-path" => {
                self.original_path = at;
                self.late = true;
            }
            21 if name == b"x-envoy-attempt-count" => self.late = true,
            23 if name == b"x-forwarded-client-cert" => self.client_cert = at,
            27 if name == b"x-envoy-decorator-operation" => self.late = true,
            30 if name == b"x-envoy-expected-rq-timeout-ms" => self.late = true,
            _ => {}
        }
    }

    /// The notes of a list that is there already.
    pub(super) fn of(headers: &Headers) -> Self {
        let mut noted = Self::default();
        for (index, (name, _)) in headers.iter().enumerate() {
            noted.note(name, index);
        }
        noted
    }
}

fn value(headers: &Headers, at: u32) -> Option<&[u8]> {
    headers.at(at.checked_sub(1)? as usize).map(|(_, value)| value)
}

/// Headers that the router adds after the filters, in a request (docs/captures.md 0.1).
const LATE: [&[u8]; 4] = [
    b"x-envoy-original-path",
    b"x-envoy-attempt-count",
    b"x-envoy-decorator-operation",
    b"x-envoy-expected-rq-timeout-ms",
];

/// Completes an exchange of a tap whose messages are filled; `buffered` when its headers were written at the
/// end of the stream.
pub(super) fn finish(
    into: &mut Exchange,
    request: Noted,
    response: Noted,
    buffered: bool,
    context: &Context,
) {
    into.side = context.options.side;
    let mut head = false;
    let mut peers = (None, None);
    match into.request.get_mut() {
        None => into.gaps.push(Gap::NoRequest),
        Some(message) => {
            let headers = &message.headers;
            if let Some(id) = value(headers, request.request_id) {
                push_text(&mut into.id, id);
            }
            head = value(headers, request.method) == Some(b"HEAD");
            message.body.length = number(value(headers, request.content_length));
            let grpc = value(headers, request.content_type).is_some_and(is_grpc);
            if grpc || value(headers, request.te) == Some(b"trailers") {
                into.protocol = Protocol::Http2;
            }
            if let Some(cert) = value(headers, request.client_cert) {
                peers = identities(cert);
                into.attributes.mtls = peers.0.is_some().then_some(true);
                if into.side == Side::Unknown {
                    into.side = Side::Inbound;
                }
            }
            if message.body.truncated {
                into.gaps.push(Gap::RequestBodyCut);
            }
        }
    }
    identify(&mut into.source, peers.0);
    identify(&mut into.destination, peers.1);
    if buffered && request.late {
        late(into, request, context);
    }
    match into.response.get_mut() {
        None => into.gaps.push(Gap::NoResponse),
        Some(message) => {
            message.body.length = number(value(&message.headers, response.content_length));
            if message.body.truncated {
                into.gaps.push(Gap::ResponseBodyCut);
            }
        }
    }
    if short(into, head) && !into.gaps.contains(&Gap::Unfinished) {
        into.gaps.push(Gap::Unfinished);
    }
}

/// A body that is shorter than announced though the tap did not cut it: the stream broke off.
fn short(exchange: &Exchange, head: bool) -> bool {
    let short = |m: &crate::Message| {
        !m.body.truncated && m.body.length.is_some_and(|n| n > m.body.bytes.len() as u64)
    };
    let empty = || head || matches!(exchange.status(), Some(204 | 304));
    exchange.request.get().is_some_and(short) || (exchange.response.get().is_some_and(short) && !empty())
}

/// Takes back what the router made of a request after the filters had seen it, as far as it shows.
///
/// Inbound, the same headers may have come over the wire from the client's proxy: the connection manager adds
/// `x-forwarded-client-cert` before any filter runs, so what stands before it was there, and what stands
/// behind it came later. Without that header `x-request-id` marks the place, unless the side says inbound.
fn late(into: &mut Exchange, noted: Noted, context: &Context) {
    let mark = match (noted.client_cert, into.side) {
        (0, Side::Inbound) => return,
        (0, _) => noted.request_id,
        (cert, _) => cert,
    };
    let Some(message) = into.request.get_mut() else { return };
    let headers = &mut message.headers;
    let restore = match context.options.restore {
        Restore::Never => false,
        Restore::Late => noted.original_path > mark,
        Restore::Always => noted.original_path > 0,
    };
    let mut found = false;
    if restore && let (Some(original), true) = (value(headers, noted.original_path), noted.path > 0) {
        let original = original.to_vec();
        headers.set_value(noted.path as usize - 1, &original);
        into.provenance = Provenance::Derived;
        found = true;
        if !context.options.drop_late {
            headers.remove_at(noted.original_path as usize - 1);
        }
    }
    let mut index = headers.len();
    while index > mark as usize {
        index -= 1;
        if headers.at(index).is_some_and(|(name, _)| LATE.contains(&name)) {
            found = true;
            if context.options.drop_late {
                headers.remove_at(index);
                into.provenance = Provenance::Derived;
            }
        }
    }
    if found {
        into.gaps.push(Gap::LateHeaders);
    }
}

fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn number(text: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(text?).ok()?.trim().parse().ok()
}

/// Appends bytes as text; what is not UTF-8 becomes U+FFFD.
pub(super) fn push_text(into: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => into.push_str(text),
        Err(_) => into.push_str(&String::from_utf8_lossy(bytes)),
    }
}

/// The `URI=` and `By=` of the last element of `x-forwarded-client-cert`: the connection's own two ends.
fn identities(cert: &[u8]) -> (Option<&str>, Option<&str>) {
    let Ok(text) = std::str::from_utf8(cert) else { return (None, None) };
    let (mut uri, mut by) = (None, None);
    let (mut quoted, mut begin) = (false, 0);
    let ends = memchr::memchr3_iter(b'"', b';', b',', cert).chain([cert.len()]);
    for at in ends {
        match cert.get(at) {
            Some(b'"') if at == 0 || cert[at - 1] != b'\\' => quoted = !quoted,
            Some(b'"') => {}
            Some(_) if quoted => {}
            end => {
                match text[begin..at].split_once('=') {
                    Some(("URI", value)) if !value.is_empty() => uri = Some(value),
                    Some(("By", value)) if !value.is_empty() => by = Some(value),
                    _ => {}
                }
                begin = at + 1;
                if end == Some(&b',') {
                    (uri, by) = (None, None);
                }
            }
        }
    }
    (uri, by)
}

/// Gives a peer this identity, or none; memory is kept.
fn identify(peer: &mut Option<Peer>, identity: Option<&str>) {
    match (identity, peer) {
        (Some(identity), peer) => {
            let text = peer.get_or_insert_default().identity.get_or_insert_default();
            text.clear();
            text.push_str(identity.trim_matches('"'));
        }
        (None, Some(peer)) => peer.identity = None,
        (None, None) => {}
    }
}

/// Fills `peer` with an address, keeping its memory.
pub(super) fn address(peer: &mut Option<Peer>, host: &[u8], port: Option<u64>) {
    let text = &mut peer.get_or_insert_default().address;
    text.clear();
    let bracket = port.is_some() && host.contains(&b':');
    if bracket {
        text.push('[');
    }
    push_text(text, host);
    if bracket {
        text.push(']');
    }
    if let Some(port) = port {
        text.push(':');
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = port;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        text.extend(digits[at..].iter().map(|d| char::from(*d)));
    }
}
