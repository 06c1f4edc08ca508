//! A service that speaks HTTP/1.1.

use super::{PAUSE, Service, is_own, timeout};
use crate::client::send;
use crate::h1::{Cut, Wire};
use crate::told::Out;
use crate::upstream::linger;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use tamis_traffic::answers::Answer;
use tamis_traffic::{Body, Callout, CalloutKind, Half, Headers, Message, Slot};

/// An answer that breaks off in the middle of its body.
const TORN: &[u8] = b"HTTP/1.1 200 Told\r\ncontent-length: 2\r\n\r\n.";

pub(super) fn serve(stream: TcpStream, service: &Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(&stream, service.idle);
    let Ok(head) = wire.head() else { return Ok(()) };
    let tail = wire.tail(head.framing(false));
    let mut all = Headers::new();
    all.push(b":method", head.word(0));
    all.push(b":path", head.word(1));
    all.push(b":authority", head.get(b"host").unwrap_or_default());
    head.fields.iter().for_each(|(name, value)| all.push(name, value));
    let callout = Callout {
        kind: CalloutKind::Http,
        cluster: service.cluster.name.clone(),
        timeout_ms: timeout(&all),
        request: Message {
            headers: all.iter().filter(|(name, _)| is_own(name)).collect(),
            body: Body { bytes: tail.body, ..Body::default() },
            trailers: Slot::none(),
        },
        ..Callout::default()
    };
    let answer = service.answer(&callout);
    service.board.call(callout);
    match answer.in_http() {
        Answer::Reply { message, after } => {
            std::thread::sleep(after);
            reply(&stream, &message)?;
            linger(&stream, &mut wire);
        }
        Answer::ResetMidBody { after } => {
            std::thread::sleep(after);
            (&stream).write_all(TORN)?;
            std::thread::sleep(PAUSE);
            stream.shutdown(Shutdown::Both)?;
        }
        Answer::Reset { after } => {
            std::thread::sleep(after);
            stream.shutdown(Shutdown::Both)?;
        }
        // Whoever builds the chain leaves such clusters out, or their hosts.
        Answer::UnknownCluster | Answer::NoHosts => stream.shutdown(Shutdown::Both)?,
        // Until the proxy gives up.
        Answer::Timeout | Answer::Unanswered | Answer::Addresses { .. } | Answer::Grpc(_) => {
            wire.wait(service.idle);
            while matches!(wire.more(), Ok(()) | Err(Cut::Silence)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    Ok(())
}

fn reply(stream: &TcpStream, message: &Message) -> io::Result<()> {
    let status = message.headers.text(":status").unwrap_or("200");
    let mut head = format!("HTTP/1.1 {status} Told\r\n").into_bytes();
    let framing = |name: &[u8]| name.starts_with(b":") || name == b"transfer-encoding";
    for (name, value) in message.headers.iter().filter(|(name, _)| !framing(name)) {
        for part in [name, b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    let chunked = message.headers.get(b"transfer-encoding").is_some() || message.trailers.is_some();
    if chunked {
        return send(&mut &*stream, head, &Out::new(message, Half::Response, false));
    }
    // The end of the connection ends the body, so that the filter sees the headers of the answer and no more.
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&message.body.bytes);
    (&*stream).write_all(&head)
}
