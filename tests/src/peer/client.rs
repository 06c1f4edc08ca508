//! A client that sends one request after another and writes down what comes back.

use super::http2::Http2;
use super::message::{Ended, Limits, Seen, read};
use super::pace::{CAREFUL, Pace};
use crate::row::{Leaves, Piece, Step};
use anyhow::Result;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long it waits for the rest of a body.
const PATIENCE: Duration = Duration::from_millis(400);
/// Until an upgrade is answered.
const ANSWERED: Duration = Duration::from_millis(150);
/// How long a client stays that leaves: until its request is where it is held.
pub(super) const STAY: Duration = Duration::from_millis(100);
/// What such a client saw.
pub(crate) const LEFT: &str = "left";

/// The host that all requests name.
pub(crate) const HOST: &str = "shop.test";

/// Plays the request of a step against a proxy, on a connection of its own.
///
/// # Errors
/// When the proxy cannot be reached; whatever it answers is no error.
pub fn exchange(proxy: SocketAddr, step: &Step) -> Result<Seen> {
    Client::new(CAREFUL).exchange(proxy, step)
}

/// A client with its open connections.
pub struct Client {
    pace: Pace,
    http1: Option<(SocketAddr, TcpStream)>,
    http2: Option<Http2>,
}

impl Client {
    /// One without a connection.
    pub fn new(pace: Pace) -> Self {
        Self { pace, http1: None, http2: None }
    }

    /// Plays the request of a step against a proxy.
    ///
    /// # Errors
    /// As [`exchange`].
    pub fn exchange(&mut self, proxy: SocketAddr, step: &Step) -> Result<Seen> {
        if step.http2 {
            let open = match self.http2.take().filter(|open| open.leads_to(proxy)) {
                Some(open) => open,
                None => Http2::open(proxy)?,
            };
            let (seen, open) = open.exchange(step, &self.pace)?;
            self.http2 = open.filter(|_| self.pace.keeps);
            return Ok(seen);
        }
        let stream = match self.http1.take().filter(|(to, stream)| *to == proxy && is_open(stream)) {
            Some((_, stream)) => stream,
            None => connect(proxy, &self.pace)?,
        };
        let (seen, stream) = self.over(stream, step)?;
        self.http1 = stream.filter(|_| self.pace.keeps).map(|stream| (proxy, stream));
        Ok(seen)
    }

    /// Over this connection; gives it back when it can serve another exchange.
    fn over(&self, mut stream: TcpStream, step: &Step) -> Result<(Seen, Option<TcpStream>)> {
        let mut bytes = head(step);
        if step.upgrade {
            stream.write_all(&std::mem::take(&mut bytes))?;
            std::thread::sleep(ANSWERED);
        }
        // A proxy that answers early closes early; its answer still counts.
        let sent = self.send(&mut stream, bytes, step);
        if let Some(leaves) = step.leaves {
            match leaves {
                Leaves::Answered => some_body(&mut stream, &self.pace)?,
                Leaves::Held | Leaves::Waiting => std::thread::sleep(STAY),
            }
            return Ok((Seen { start: LEFT.into(), ..Seen::default() }, None));
        }
        let bodiless = step.method() == "HEAD";
        let limits = Limits { first: self.pace.first, patience: PATIENCE, quiet: self.pace.quiet };
        let (ended, mut seen) = read(&mut stream, limits, bodiless);
        match ended {
            Ended::Message => {}
            Ended::Closed => seen.start = "closed without an answer".into(),
            Ended::Nothing => seen.start = "no answer in time".into(),
        }
        let closes = seen.headers.iter().any(|(name, value)| name == "connection" && value == b"close");
        let whole = ended == Ended::Message && seen.odd.is_empty() && sent.is_ok() && !step.upgrade;
        Ok((seen, Some(stream).filter(|_| whole && !closes)))
    }

    fn send(&self, stream: &mut TcpStream, mut bytes: Vec<u8>, step: &Step) -> std::io::Result<()> {
        for (i, text) in step.body.iter().enumerate() {
            if i > 0 {
                stream.write_all(&std::mem::take(&mut bytes))?;
                std::thread::sleep(self.pace.between);
            }
            bytes.extend_from_slice(&piece(text, step.chunked));
        }
        if step.chunked {
            // Whether it comes with the last piece or alone is the same for a proxy, but not for its buffers.
            if !step.body.is_empty() && !self.pace.keeps {
                stream.write_all(&std::mem::take(&mut bytes))?;
                std::thread::sleep(self.pace.between);
            }
            bytes.extend_from_slice(&last_chunk(&step.trailers));
        }
        stream.write_all(&bytes)
    }
}

/// The proxy has not closed it, and said nothing more.
fn is_open(stream: &TcpStream) -> bool {
    let silent = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let silent = matches!(silent, Err(why) if why.kind() == ErrorKind::WouldBlock);
    silent && stream.set_nonblocking(false).is_ok()
}

fn connect(proxy: SocketAddr, pace: &Pace) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&proxy, pace.first)?;
    stream.set_nodelay(true)?;
    // A proxy that holds a request back does not read it.
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Request line and headers on the wire.
fn head(step: &Step) -> Vec<u8> {
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
    bytes
}

/// Reads until there is more than the head of the answer.
fn some_body(stream: &mut TcpStream, pace: &Pace) -> Result<()> {
    stream.set_read_timeout(Some(pace.first))?;
    let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
    while !seen.windows(4).any(|w| w == b"\r\n\r\n") || seen.ends_with(b"\r\n\r\n") {
        let size = stream.read(&mut piece)?;
        anyhow::ensure!(size > 0, "the answer ended in its head");
        seen.extend_from_slice(&piece[..size]);
    }
    Ok(())
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
