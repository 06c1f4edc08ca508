//! A client that sends one request and writes down what comes back.

use super::http2;
use super::message::{Ended, Seen, read};
use crate::row::{Leaves, Piece, Step};
use anyhow::Result;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long it waits for an answer to start. Longer than Envoy's idle timeout in the rows.
const FIRST: Duration = Duration::from_millis(2500);
/// How long it waits for the rest of a body.
const PATIENCE: Duration = Duration::from_millis(400);
/// Until an upgrade is answered.
const ANSWERED: Duration = Duration::from_millis(150);
/// How long a client stays that leaves: until its request is where it is held.
pub(super) const STAY: Duration = Duration::from_millis(100);
/// What such a client saw.
pub(crate) const LEFT: &str = "left";
/// Between two pieces of a body, so that each arrives alone.
const BETWEEN: Duration = Duration::from_millis(30);

/// The host that all requests name.
pub(crate) const HOST: &str = "shop.test";

/// Plays the request of a step against a proxy.
///
/// # Errors
/// When the proxy cannot be reached; whatever it answers is no error.
pub fn exchange(proxy: SocketAddr, step: &Step) -> Result<Seen> {
    if step.http2 {
        return http2::exchange(proxy, step);
    }
    let mut stream = TcpStream::connect_timeout(&proxy, FIRST)?;
    stream.set_nodelay(true)?;
    // A proxy that holds a request back does not read it.
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = format!("{} {} HTTP/1.1\r\nhost: {HOST}\r\n", step.method(), step.path()).into_bytes();
    for (name, value) in step.all_headers() {
        bytes.extend_from_slice(format!("{name}: ").as_bytes());
        bytes.extend_from_slice(&value);
        bytes.extend_from_slice(b"\r\n");
    }
    if step.chunked {
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    if step.upgrade {
        stream.write_all(&std::mem::take(&mut bytes))?;
        std::thread::sleep(ANSWERED);
    }
    // A proxy that answers early closes early; its answer still counts.
    let _ = send(&mut stream, bytes, step);
    if let Some(leaves) = step.leaves {
        match leaves {
            Leaves::Answered => some_body(&mut stream)?,
            Leaves::Held | Leaves::Waiting => std::thread::sleep(STAY),
        }
        return Ok(Seen { start: LEFT.into(), ..Seen::default() });
    }
    let bodiless = step.method() == "HEAD";
    let (ended, mut seen) = read(&mut stream, FIRST, PATIENCE, bodiless);
    match ended {
        Ended::Message => {}
        Ended::Closed => seen.start = "closed without an answer".into(),
        Ended::Nothing => seen.start = "no answer in time".into(),
    }
    Ok(seen)
}

/// Reads until there is more than the head of the answer.
fn some_body(stream: &mut TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(FIRST))?;
    let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
    while !seen.windows(4).any(|w| w == b"\r\n\r\n") || seen.ends_with(b"\r\n\r\n") {
        let size = stream.read(&mut piece)?;
        anyhow::ensure!(size > 0, "the answer ended in its head");
        seen.extend_from_slice(&piece[..size]);
    }
    Ok(())
}

fn send(stream: &mut TcpStream, mut bytes: Vec<u8>, step: &Step) -> std::io::Result<()> {
    for (i, text) in step.body.iter().enumerate() {
        if i > 0 {
            std::thread::sleep(BETWEEN);
        }
        bytes.extend_from_slice(&piece(text, step.chunked));
        stream.write_all(&bytes)?;
        bytes.clear();
    }
    if step.chunked {
        if !step.body.is_empty() {
            std::thread::sleep(BETWEEN);
        }
        bytes.extend_from_slice(&last_chunk(&step.trailers));
    }
    stream.write_all(&bytes)
}

/// A piece of a body as it goes on the wire.
pub(crate) fn piece(piece: &Piece, chunked: bool) -> Vec<u8> {
    let bytes = piece.bytes();
    if !chunked {
        return bytes;
    }
    let mut wire = format!("{:x}\r\n", bytes.len()).into_bytes();
    wire.extend(bytes);
    wire.extend(b"\r\n");
    wire
}

/// The end of a body in chunks.
pub(crate) fn last_chunk(trailers: &[(String, String)]) -> Vec<u8> {
    let fields: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("0\r\n{fields}\r\n").into_bytes()
}
