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

/// What all those pauses of one body may take: with many pieces some arrive together.
const BETWEEN_ALL: Duration = Duration::from_secs(1);

/// The pause between two of so many pieces.
pub(crate) fn between(pieces: usize) -> Duration {
    BETWEEN.min(BETWEEN_ALL / u32::try_from(pieces).unwrap_or(u32::MAX).max(1))
}

/// How long is waited for what is late: a request that Envoy still sends when the client already has its answer.
pub(crate) const LATE: Duration = Duration::from_millis(200);

/// How often a client that waits looks whether the upstream will answer at all.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// How long a client that leaves reads what is there.
pub(crate) const READ: Duration = Duration::from_millis(50);

/// A request on its way.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) out: Out,
    /// The content type: Envoy decides by it, before any filter, whether its own replies are gRPC.
    pub(crate) content: Option<&'a str>,
    pub(crate) http2: bool,
    /// It asks for an upgrade, and its body follows the answer.
    pub(crate) upgrade: bool,
    /// The client goes away before it has its answer.
    pub(crate) leave: Option<Leave<'a>>,
    /// No answer for so long ends it.
    pub(crate) limit: Duration,
}

/// When a client goes away.
pub(crate) struct Leave<'a> {
    /// The moment has come.
    pub(crate) reached: &'a dyn Fn() -> bool,
    /// Waits until Envoy has dealt with all that it was sent.
    pub(crate) settle: &'a dyn Fn(),
}

/// What a client has at the end.
#[derive(Default)]
pub(crate) struct Came {
    /// None: nothing came, or not all of it before the client left.
    pub(crate) response: Option<In>,
    /// It went away before.
    pub(crate) left: bool,
}

/// Plays the client.
pub(crate) fn play(proxy: SocketAddr, request: &Request<'_>, board: &Board) -> Result<Came, Error> {
    if request.http2 { h2c::exchange(proxy, request, board) } else { exchange(proxy, request, board) }
}

/// The connection is the exchange's own: it tells the end of every response.
fn exchange(proxy: SocketAddr, request: &Request<'_>, board: &Board) -> Result<Came, Error> {
    let mut stream = TcpStream::connect_timeout(&proxy, request.limit).map_err(Error::Peer)?;
    stream.set_nodelay(true).map_err(Error::Peer)?;
    // A proxy that holds a long request back stops reading.
    stream.set_write_timeout(Some(request.limit)).map_err(Error::Peer)?;
    let connection = if request.upgrade { "upgrade\r\nupgrade: websocket" } else { "close" };
    let mut head = format!("{} / HTTP/1.1\r\nhost: tamis\r\nconnection: {connection}\r\n", request.method);
    for value in &request.out.packed {
        head.push_str(&format!("{PACKED}: {value}\r\n"));
    }
    if let Some(content) = request.content {
        head.push_str(&format!("content-type: {content}\r\n"));
    }
    // A proxy that answers early closes early; its answer still counts.
    let _ = match request.upgrade {
        true => stream.write_all(format!("{head}\r\n").as_bytes()),
        false => send(&mut stream, head.into_bytes(), &request.out),
    };
    let mut wire = Wire::new(&stream, LOOK);
    let end = Instant::now() + request.limit;
    loop {
        let over = || Instant::now() > end;
        match (wire.more(), &request.leave) {
            (Ok(()), _) => break,
            (Err(Cut::Silence), None) if board.held() || over() => return Ok(Came::default()),
            (Err(Cut::Silence), Some(leave)) if (leave.reached)() || over() => break,
            (Err(Cut::Silence), _) => wire.wait(LOOK),
            (Err(_), _) => return Ok(Came::default()),
        }
    }
    if let Some(leave) = &request.leave {
        let end = Instant::now() + LATE;
        while !(leave.reached)() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        (leave.settle)();
    }
    wire.wait(if request.leave.is_some() { READ } else { request.limit });
    let unless_left = |cut: Option<Cut>, response: Option<In>| {
        let left = request.leave.is_some() && cut == Some(Cut::Silence);
        Came { response: response.filter(|_| !left), left }
    };
    let head = match wire.head() {
        Ok(head) => head,
        Err(cut) => return Ok(unless_left(Some(cut), None)),
    };
    let mut headers = Headers::new();
    headers.push(b":status", head.word(1));
    head.fields.iter().for_each(|(name, value)| headers.push(name, value));
    if head.word(1) == b"101" {
        let body = talk(&stream, &mut wire, &request.out, board, request.limit);
        return Ok(Came { response: Some(In { headers, body, ..In::default() }), left: false });
    }
    let bodiless = request.method == "HEAD" || matches!(head.word(1), b"204" | b"304");
    let framing = if bodiless { Framing::Length(0) } else { head.framing(true) };
    let mut tail = wire.tail(framing);
    if matches!(framing, Framing::Length(_)) && tail.cut.is_none() {
        // The connection is closed behind the response: what else came is too much.
        while wire.more() == Ok(()) {}
        tail.body.extend_from_slice(wire.rest());
    }
    let trailers = tail.trailers.map(|fields| fields.into_iter().collect());
    let response = In { headers, body: tail.body, trailers, cut: tail.cut.is_some() };
    Ok(unless_left(tail.cut, Some(response)))
}

/// After an upgrade: sends each piece in its turn, and gives what the upstream sent. The client closes.
fn talk(mut stream: &TcpStream, wire: &mut Wire<'_>, out: &Out, board: &Board, limit: Duration) -> Vec<u8> {
    for (index, piece) in out.body.iter().flatten().enumerate() {
        // A proxy that has gone away tells its end.
        let _ = stream.write_all(piece);
        std::thread::sleep(BETWEEN);
        board.sent(Some(index + 1), limit);
    }
    board.sent(None, limit);
    let end = Instant::now() + limit;
    loop {
        wire.wait(BETWEEN);
        match wire.more() {
            Ok(()) => {}
            Err(Cut::Silence) if !board.answered() && Instant::now() < end => {}
            Err(_) => return wire.rest().to_vec(),
        }
    }
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
            std::thread::sleep(between(pieces.len()));
        }
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
        stream.write_all(&bytes)?;
        bytes.clear();
    }
    if out.open {
        return stream.write_all(&bytes);
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
