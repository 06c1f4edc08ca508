//! The servers behind Envoy: the upstream, which gives the recorded response, and the clusters of callouts.

use crate::client::send;
use crate::h1::{Cut, Framing, Wire};
use crate::pack::PACKED;
use crate::told::{Board, In, Out};
use crate::{Answers, Error, h2c};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tamis_traffic::expect::RuleAnswer;
use tamis_traffic::{Body, Callout, CalloutKind, Half, Headers, Message, Slot};

/// A request body that stops short of its `content-length` is answered after this silence.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes beyond `content-length` come at once, if at all.
const SURPLUS: Duration = Duration::from_millis(10);

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI ";

/// A server on a port of its own; ends when dropped, its connections when Envoy closes them.
pub(crate) struct Server {
    at: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::Peer)?;
        let at = listener.local_addr().map_err(Error::Peer)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Ok(Self { at, stop, thread: Some(thread) })
    }

    /// The upstream. `idle` bounds every wait for Envoy.
    pub(crate) fn upstream(board: &Arc<Board>, idle: Duration) -> Result<Self, Error> {
        let board = Arc::clone(board);
        Self::start(move |stream| {
            // A connection that breaks off is the exchange's business; the client tells.
            let _ = upstream(stream, &board, idle);
        })
    }

    /// A cluster of callouts.
    pub(crate) fn cluster(
        name: &str,
        answers: &Arc<Mutex<Answers>>,
        board: &Arc<Board>,
        idle: Duration,
    ) -> Result<Self, Error> {
        let (name, answers, board) = (name.to_owned(), Arc::clone(answers), Arc::clone(board));
        Self::start(move |stream| {
            let _ = callouts(stream, &name, &answers, &board, idle);
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread, which then sees that it is over.
        if TcpStream::connect(self.at).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn upstream(stream: TcpStream, board: &Board, idle: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(idle))?;
    let mut start = [0; PREFACE.len()];
    stream.set_read_timeout(Some(idle))?;
    let mut peeked = 0;
    while peeked < start.len() && start[..peeked] == PREFACE[..peeked] {
        match stream.peek(&mut start)? {
            n if n > peeked => peeked = n,
            0 => return Ok(()),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    if start == PREFACE {
        return h2c::serve(stream, board, idle);
    }
    let mut wire = Wire::new(&stream, idle);
    let Ok(head) = wire.head() else { return Ok(()) };
    let framing = head.framing(false);
    wire.wait(if matches!(framing, Framing::Length(_)) { PATIENCE } else { idle });
    let mut tail = wire.tail(framing);
    if matches!(framing, Framing::Length(length) if length > 0) {
        // A filter may have made the body longer or shorter than its header says.
        wire.wait(SURPLUS);
        let _ = wire.more();
        tail.body.extend_from_slice(wire.rest());
        tail.cut = tail.cut.filter(|cut| *cut != Cut::Silence);
    }
    wire.wait(idle);
    let trailers = tail.trailers.map(|fields| fields.into_iter().collect());
    let cut = tail.cut.is_some();
    let told = board.arrive(In { headers: Headers::new(), body: tail.body, trailers, cut });
    let Some(told) = told.filter(|_| !cut) else {
        // Until the proxy gives up.
        while wire.more() == Ok(()) {}
        return Ok(());
    };
    let mut head = format!("HTTP/1.1 {} Recorded\r\n", told.status);
    for value in &told.out.packed {
        head.push_str(&format!("{PACKED}: {value}\r\n"));
    }
    if told.out.body.is_none() && !matches!(told.status, 204 | 304) {
        head.push_str("content-length: 0\r\n");
    }
    send(&mut &stream, head, &told.out)?;
    linger(&stream, &mut wire);
    Ok(())
}

/// Lets the peer read to the end before the connection goes.
fn linger(stream: &TcpStream, wire: &mut Wire<'_>) {
    let _ = stream.shutdown(Shutdown::Write);
    while wire.more() == Ok(()) {}
}

fn callouts(
    stream: TcpStream,
    cluster: &str,
    answers: &Mutex<Answers>,
    board: &Board,
    idle: Duration,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(&stream, idle);
    let Ok(head) = wire.head() else { return Ok(()) };
    let tail = wire.tail(head.framing(false));
    let mut headers = Headers::new();
    headers.push(b":method", head.word(0));
    headers.push(b":path", head.word(1));
    headers.push(b":authority", head.get(b"host").unwrap_or_default());
    // Envoy's own additions (docs/envoy.md 2.6) and what frames the message.
    let own = |name: &[u8]| name == b"host" || name == b"transfer-encoding" || name.starts_with(b"x-envoy-");
    head.fields.iter().filter(|(name, _)| !own(name)).for_each(|(n, v)| headers.push(n, v));
    let timeout = head.get(b"x-envoy-expected-rq-timeout-ms").and_then(|v| std::str::from_utf8(v).ok());
    let callout = Callout {
        kind: CalloutKind::Http,
        filter: 0,
        cluster: cluster.to_owned(),
        request: Message {
            headers,
            body: Body { bytes: tail.body, ..Body::default() },
            trailers: Slot::none(),
        },
        timeout_ms: timeout.and_then(|t| t.parse().ok()).unwrap_or(0),
        token: 0,
    };
    let answer = (answers.lock().unwrap_or_else(|e| e.into_inner()))(&callout);
    board.call(callout);
    match answer {
        Some(RuleAnswer::Reply { message, delay }) => {
            std::thread::sleep(delay);
            reply(&stream, &message)?;
            linger(&stream, &mut wire);
        }
        Some(RuleAnswer::Reset { delay }) => {
            std::thread::sleep(delay);
            stream.shutdown(Shutdown::Both)?;
        }
        // Not spoken here: whoever builds the chain refuses them before.
        Some(RuleAnswer::Grpc(_) | RuleAnswer::Addresses { .. }) => stream.shutdown(Shutdown::Both)?,
        // Until the proxy gives up.
        Some(RuleAnswer::Timeout) | None => {
            wire.wait(idle);
            while matches!(wire.more(), Ok(()) | Err(Cut::Silence)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    Ok(())
}

fn reply(stream: &TcpStream, message: &Message) -> io::Result<()> {
    let status = message.headers.text(":status").unwrap_or("200");
    let mut head = format!("HTTP/1.1 {status} Told\r\n");
    let framing = |name: &[u8]| name.starts_with(b":") || name == b"transfer-encoding";
    for (name, value) in message.headers.iter().filter(|(name, _)| !framing(name)) {
        head.push_str(&format!("{}: {}\r\n", name.escape_ascii(), String::from_utf8_lossy(value)));
    }
    if message.trailers.is_some() {
        return send(&mut &*stream, head, &Out::new(message, Half::Response, false));
    }
    // The end of the connection ends the body, so that the filter sees the headers of the test and no more.
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&message.body.bytes);
    io::Write::write_all(&mut &*stream, &bytes)
}
