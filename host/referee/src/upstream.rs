//! The upstream behind Envoy, which gives the recorded response.

use crate::client::{BETWEEN, LOOK, send};
use crate::h1::{Cut, Framing, Wire};
use crate::pack::PACKED;
use crate::told::{Board, In, Told};
use crate::{Error, h2c};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tamis_traffic::Headers;

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
    /// Serves each connection on a thread of its own.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Result<Self, Error> {
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
    if let Some(told) = board.told().filter(|told| told.upgrade && head.get(b"upgrade").is_some()) {
        return upgraded(&stream, wire, &told, board);
    }
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
    send(&mut &stream, head.into_bytes(), &told.out)?;
    board.answer();
    if told.out.open {
        // Until the proxy gives up.
        while wire.more() == Ok(()) {}
        return Ok(());
    }
    linger(&stream, &mut wire);
    Ok(())
}

/// No longer HTTP: each side sends a piece in its turn, the client first, who also ends it. What it sends is the
/// request's body.
fn upgraded(mut stream: &TcpStream, mut wire: Wire<'_>, told: &Told, board: &Board) -> io::Result<()> {
    let mut head = "HTTP/1.1 101 Recorded\r\nconnection: upgrade\r\nupgrade: websocket\r\n".to_owned();
    for value in &told.out.packed {
        head.push_str(&format!("{PACKED}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let mut pieces = told.out.body.iter().flatten();
    loop {
        wire.wait(LOOK);
        if !matches!(wire.more(), Ok(()) | Err(Cut::Silence)) {
            break;
        }
        let (mine, all) = board.turn();
        if !mine {
            continue;
        }
        match pieces.next() {
            Some(piece) => {
                stream.write_all(piece)?;
                std::thread::sleep(BETWEEN);
            }
            None if all => board.answer(),
            None => {}
        }
        board.taken();
    }
    board.arrive(In { body: wire.rest().to_vec(), ..In::default() });
    Ok(())
}

/// Lets the peer read to the end before the connection goes.
pub(crate) fn linger(stream: &TcpStream, wire: &mut Wire<'_>) {
    let _ = stream.shutdown(Shutdown::Write);
    while wire.more() == Ok(()) {}
}
