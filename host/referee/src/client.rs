//! The client: sends the recorded request and takes down what comes back.

use crate::Error;
use crate::h1::{Cut, Framing, Wire};
use crate::h2c;
use crate::pack::PACKED;
use crate::told::{Board, In, Out};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tamis_traffic::Headers;

/// Between two pieces of a body, so that each arrives alone.
pub(crate) const BETWEEN: Duration = Duration::from_millis(30);

/// How often a client that waits looks whether the upstream will answer at all.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// A request on its way.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) out: Out,
    /// The content type: Envoy decides by it, before any filter, whether its own replies are gRPC.
    pub(crate) content: Option<&'a str>,
    pub(crate) http2: bool,
    /// No answer for so long ends it.
    pub(crate) limit: Duration,
}

/// What came back: a response, or nothing.
pub(crate) fn play(proxy: SocketAddr, request: &Request<'_>, board: &Board) -> Result<Option<In>, Error> {
    if request.http2 { h2c::exchange(proxy, request, board) } else { exchange(proxy, request, board) }
}

/// The connection is the exchange's own: it tells the end of every response.
fn exchange(proxy: SocketAddr, request: &Request<'_>, board: &Board) -> Result<Option<In>, Error> {
    let mut stream = TcpStream::connect_timeout(&proxy, request.limit).map_err(Error::Peer)?;
    stream.set_nodelay(true).map_err(Error::Peer)?;
    // A proxy that holds a long request back stops reading.
    stream.set_write_timeout(Some(request.limit)).map_err(Error::Peer)?;
    let mut head = format!("{} / HTTP/1.1\r\nhost: tamis\r\nconnection: close\r\n", request.method);
    for value in &request.out.packed {
        head.push_str(&format!("{PACKED}: {value}\r\n"));
    }
    if let Some(content) = request.content {
        head.push_str(&format!("content-type: {content}\r\n"));
    }
    // A proxy that answers early closes early; its answer still counts.
    let _ = send(&mut stream, head.into_bytes(), &request.out);
    let mut wire = Wire::new(&stream, LOOK);
    let end = Instant::now() + request.limit;
    loop {
        match wire.more() {
            Ok(()) => break,
            Err(Cut::Silence) if board.held() || Instant::now() > end => return Ok(None),
            Err(Cut::Silence) => wire.wait(LOOK),
            Err(_) => return Ok(None),
        }
    }
    wire.wait(request.limit);
    let Ok(head) = wire.head() else { return Ok(None) };
    let mut headers = Headers::new();
    headers.push(b":status", head.word(1));
    head.fields.iter().for_each(|(name, value)| headers.push(name, value));
    let bodiless = request.method == "HEAD" || matches!(head.word(1), b"204" | b"304");
    let framing = if bodiless { Framing::Length(0) } else { head.framing(true) };
    let mut tail = wire.tail(framing);
    if matches!(framing, Framing::Length(_)) {
        // The connection is closed behind the response: what else came is too much.
        while wire.more() == Ok(()) {}
        tail.body.extend_from_slice(wire.rest());
    }
    let trailers = tail.trailers.map(|fields| fields.into_iter().collect());
    Ok(Some(In { headers, body: tail.body, trailers, cut: tail.cut.is_some() }))
}

/// Sends head and body of a message in chunks.
pub(crate) fn send(stream: &mut impl Write, head: Vec<u8>, out: &Out) -> io::Result<()> {
    let mut bytes = head;
    let Some(pieces) = &out.body else {
        bytes.extend_from_slice(b"\r\n");
        return stream.write_all(&bytes);
    };
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            std::thread::sleep(BETWEEN);
        }
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
        stream.write_all(&bytes)?;
        bytes.clear();
    }
    bytes.extend_from_slice(b"0\r\n");
    for (name, value) in out.trailers.iter().flatten() {
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    stream.write_all(&bytes)
}
