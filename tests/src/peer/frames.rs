//! Both ends of HTTP/2 frame by frame, for frames of metadata (type 0x4d): libraries have none. What comes back is only
//! read to its end.

use super::client::HOST;
use super::upstream::{Plan, lock};
use crate::row::{Answer, Frame, Piece, Step};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

/// The first bytes of a client (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// For an answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Between two frames, so that each arrives alone.
const PAUSE: Duration = Duration::from_millis(30);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const METADATA: u8 = 0x4d;

const END_STREAM: u8 = 1;
const END_BLOCK: u8 = 4;

/// Plays the request of a step against a proxy.
pub(crate) fn exchange(proxy: SocketAddr, step: &Step) -> Result<()> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut hello = PREFACE.to_vec();
    hello.extend(frame(SETTINGS, 0, 0, &[]));
    stream.write_all(&hello)?;
    let pseudo =
        [(":method", step.method()), (":scheme", "http"), (":authority", HOST), (":path", step.path())];
    let mut head: Vec<(String, Vec<u8>)> =
        pseudo.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    head.extend(step.all_headers());
    // A proxy that answers early resets early.
    let _ = message(&mut stream, 1, &head, &step.body, &step.trailers, &step.metadata);
    let mut reader = Frames { stream, bytes: Vec::new() };
    // Until the stream ends, however it does.
    while let Ok((kind, flags, id, _)) = reader.next() {
        if id == 1 && (kind == RESET || (kind < 2 && flags & END_STREAM != 0)) {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers requests on a connection as planned.
pub(super) fn serve(stream: TcpStream, plan: &Mutex<Plan>) {
    // A peer that left early is the row's business.
    let _ = serve_some(stream, plan);
}

fn serve_some(mut stream: TcpStream, plan: &Mutex<Plan>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    let mut reader = Frames { stream: stream.try_clone()?, bytes: Vec::new() };
    let mut preface = vec![0; PREFACE.len()];
    reader.stream.read_exact(&mut preface)?;
    loop {
        let (kind, flags, id, _) = reader.next()?;
        match kind {
            SETTINGS if flags & 1 == 0 => stream.write_all(&frame(SETTINGS, 1, 0, &[]))?,
            DATA | HEADERS if flags & END_STREAM != 0 => {
                let (answer, _) = lock(plan).answer(Default::default());
                let Answer { status, headers, body, trailers, metadata, .. } = &answer;
                let mut head = vec![(":status".to_owned(), status.to_string().into_bytes())];
                head.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())));
                message(&mut stream, id, &head, body, trailers, metadata)?;
            }
            _ => {}
        }
    }
}

/// Headers, pieces with the metadata between them, and the end.
fn message(
    stream: &mut TcpStream,
    id: u32,
    head: &[(String, Vec<u8>)],
    body: &[Piece],
    trailers: &[(String, String)],
    metadata: &[Frame],
) -> Result<()> {
    let bare = body.is_empty() && trailers.is_empty() && metadata.is_empty();
    let end = if bare { END_STREAM } else { 0 };
    stream.write_all(&frame(HEADERS, END_BLOCK | end, id, &block(head)))?;
    let mut rest = metadata.iter().peekable();
    for pieces in 0..=body.len() {
        if let Some(piece) = pieces.checked_sub(1).and_then(|last| body.get(last)) {
            std::thread::sleep(PAUSE);
            let last = pieces == body.len() && trailers.is_empty() && rest.peek().is_none();
            stream.write_all(&frame(DATA, u8::from(last), id, &piece.bytes()))?;
        }
        while let Some(next) = rest.next_if(|next| next.after as usize <= pieces) {
            std::thread::sleep(PAUSE);
            stream.write_all(&frame(METADATA, END_BLOCK, id, &block(&fields(&next.fields))))?;
        }
    }
    std::thread::sleep(PAUSE);
    if !trailers.is_empty() {
        stream.write_all(&frame(HEADERS, END_BLOCK | END_STREAM, id, &block(&fields(trailers))))?;
    } else if !bare && metadata.last().is_some_and(|last| last.after as usize >= body.len()) {
        stream.write_all(&frame(DATA, END_STREAM, id, &[]))?;
    }
    Ok(())
}

fn fields(fields: &[(String, String)]) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect()
}

/// Literal fields without indexing (RFC 7541, 6.2.2); names in lower case.
fn block(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name.to_ascii_lowercase().as_bytes(), value.as_slice()] {
            length(&mut out, text.len());
            out.extend_from_slice(text);
        }
    }
    out
}

/// A number with a prefix of seven bits (RFC 7541, 5.1).
fn length(out: &mut Vec<u8>, len: usize) {
    if len < 0x7f {
        return out.push(len as u8);
    }
    out.push(0x7f);
    let mut rest = len - 0x7f;
    while rest > 0x7f {
        out.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(id.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Frames as they come.
struct Frames {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Frames {
    /// Type, flags, stream and payload of the next one.
    fn next(&mut self) -> Result<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let Some((head, rest)) = self.bytes.split_first_chunk::<9>() {
                let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let id = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
                let (kind, flags) = (head[3], head[4]);
                if let Some(payload) = rest.get(..len).map(<[u8]>::to_vec) {
                    self.bytes.drain(..9 + len);
                    return Ok((kind, flags, id, payload));
                }
            }
            let mut piece = [0; 4096];
            let size = self.stream.read(&mut piece)?;
            (size > 0).then_some(()).context("the connection ended")?;
            self.bytes.extend_from_slice(&piece[..size]);
        }
    }
}
