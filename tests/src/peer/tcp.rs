//! Both ends of a TCP connection: they do what a row says, step by step, and write down what they got.

use super::message::Seen;
use crate::row::{Act, Piece};
use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Before each step and after the last one: each piece arrives alone.
pub(crate) const BETWEEN: Duration = Duration::from_millis(60);
/// How long a step waits for the connection to the upstream.
const CONNECT: Duration = Duration::from_millis(500);

/// What one end got so far.
#[derive(Debug, Default)]
struct Got {
    stream: Option<TcpStream>,
    bytes: Vec<u8>,
    closed: bool,
}

type Shared = Arc<Mutex<Got>>;

fn lock(got: &Shared) -> std::sync::MutexGuard<'_, Got> {
    got.lock().unwrap_or_else(|e| e.into_inner())
}

/// An upstream that waits for connections.
pub struct TcpUpstream {
    at: SocketAddr,
    /// The newest connection.
    latest: Shared,
}

impl TcpUpstream {
    /// Starts it. Its threads only wait and end with the test's process.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let at = listener.local_addr()?;
        let latest = Shared::default();
        let newest = Arc::clone(&latest);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                follow(stream, &newest);
            }
        });
        Ok(Self { at, latest })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.at
    }
}

/// Reads all that comes into a fresh record.
fn follow(stream: TcpStream, into: &Shared) {
    let Ok(mut reader) = stream.try_clone() else { return };
    // Without it the pieces wait for each other.
    let _ = stream.set_nodelay(true);
    *lock(into) = Got { stream: Some(stream), ..Got::default() };
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            lock(&into).bytes.extend_from_slice(&buffer[..n]);
        }
        lock(&into).closed = true;
    });
}

/// Plays the steps of one connection; what the client got, and what the upstream got if it was asked.
///
/// # Errors
/// When the proxy cannot be reached.
pub fn connection(proxy: SocketAddr, upstream: &TcpUpstream, acts: &[Act]) -> Result<(Seen, Option<Seen>)> {
    let (client, server) = (Shared::default(), &upstream.latest);
    *lock(server) = Got::default();
    follow(TcpStream::connect(proxy)?, &client);
    for act in acts {
        std::thread::sleep(BETWEEN);
        match act {
            Act::Client(piece) => send(&client, piece),
            Act::Upstream(piece) => send(connected(server), piece),
            Act::ClientEnds => end(&client, Shutdown::Write),
            Act::UpstreamEnds => end(connected(server), Shutdown::Write),
        }
    }
    std::thread::sleep(BETWEEN * 2);
    let ended = |act: fn(&Act) -> bool| acts.iter().any(act);
    let closed = |got: &Shared, expected: bool| lock(got).closed && !expected;
    let asked = lock(server).stream.is_some();
    let there = closed(server, ended(|a| matches!(a, Act::ClientEnds)));
    let here = closed(&client, ended(|a| matches!(a, Act::UpstreamEnds)));
    // First the client leaves, then the upstream.
    for one in [&client, server] {
        end(one, Shutdown::Write);
        std::thread::sleep(BETWEEN);
    }
    let seen = |got: &Shared, closed: bool| {
        let odd = if closed { vec!["closed".into()] } else { Vec::new() };
        Seen { start: "connection".into(), body: lock(got).bytes.clone(), odd, ..Seen::default() }
    };
    let result = (seen(&client, here), asked.then(|| seen(server, there)));
    end(&client, Shutdown::Both);
    end(server, Shutdown::Both);
    Ok(result)
}

fn connected(server: &Shared) -> &Shared {
    let limit = Instant::now() + CONNECT;
    while lock(server).stream.is_none() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    server
}

fn send(to: &Shared, piece: &Piece) {
    let stream = lock(to).stream.as_ref().and_then(|s| s.try_clone().ok());
    if let Some(mut stream) = stream {
        // A proxy may have closed it; what arrived is what counts.
        let _ = stream.write_all(&piece.bytes());
    }
}

fn end(of: &Shared, how: Shutdown) {
    if let Some(stream) = &lock(of).stream {
        // Closed already is fine.
        let _ = stream.shutdown(how);
    }
}
