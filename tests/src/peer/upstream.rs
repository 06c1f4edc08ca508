//! An upstream that answers as told.

use super::message::{Ended, Limits, Seen, read};
use super::pace::{CAREFUL, Pace};
use super::{frames, grpc};
use crate::row::{Answer, End};
use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A connection without a request is given up after this.
const IDLE: Duration = Duration::from_secs(30);
/// A request body that stops short is answered after this.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two pieces of a body, so that each arrives alone.
pub(crate) const PAUSE: Duration = Duration::from_millis(30);
/// The thread of an answer that never comes ends some time.
pub(super) const NEVER: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Plan {
    answers: Vec<Answer>,
    next: usize,
    pub(super) seen: Vec<Seen>,
}

impl Plan {
    /// Notes a request and gives the answer that is next, and the number of the request.
    pub(super) fn answer(&mut self, seen: Seen) -> (Answer, usize) {
        self.seen.push(seen);
        let answer = self.answers.get(self.next).or(self.answers.last()).cloned().unwrap_or_default();
        self.next += 1;
        (answer, self.seen.len() - 1)
    }
}

/// What a server speaks.
#[derive(Clone, Copy)]
enum Speaks {
    Http1,
    Http2,
    /// HTTP/2 with frames of metadata.
    Frames,
}

/// A server on a port of its own. Lives as long as the test's process: its threads only wait.
pub struct Upstream {
    at: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

impl Upstream {
    /// Starts it; it answers with these in turn, the last one for ever.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(answers: Vec<Answer>) -> Result<Self> {
        Self::start_at(CAREFUL, answers)
    }

    /// As [`Upstream::start`], at this pace.
    ///
    /// # Errors
    /// As there.
    pub fn start_at(pace: Pace, answers: Vec<Answer>) -> Result<Self> {
        let http2 = answers.iter().any(|a| a.grpc.is_some());
        Self::serving(pace, answers, if http2 { Speaks::Http2 } else { Speaks::Http1 })
    }

    /// One that speaks HTTP/2 whatever it is told to answer.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start_http2(pace: Pace) -> Result<Self> {
        Self::serving(pace, Vec::new(), Speaks::Http2)
    }

    /// One that sends frames of metadata over HTTP/2, and does not say what it got.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start_frames(pace: Pace) -> Result<Self> {
        Self::serving(pace, Vec::new(), Speaks::Frames)
    }

    fn serving(pace: Pace, answers: Vec<Answer>, speaks: Speaks) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let at = listener.local_addr()?;
        let plan = Arc::new(Mutex::new(Plan { answers, ..Plan::default() }));
        let shared = Arc::clone(&plan);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let plan = Arc::clone(&shared);
                std::thread::spawn(move || match speaks {
                    Speaks::Http1 => serve(stream, &plan, &pace),
                    Speaks::Http2 => grpc::serve(stream, &plan, &pace),
                    Speaks::Frames => frames::serve(stream, &plan),
                });
            }
        });
        Ok(Self { at, plan })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// From now on it gives this answer.
    pub fn set(&self, answer: Answer) {
        let mut plan = lock(&self.plan);
        plan.answers = vec![answer];
        plan.next = 0;
    }

    /// The requests since the last time this was asked.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.plan).seen)
    }
}

pub(super) fn lock(plan: &Mutex<Plan>) -> std::sync::MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(|e| e.into_inner())
}

fn serve(mut stream: TcpStream, plan: &Mutex<Plan>, pace: &Pace) {
    // Without it the pieces of a body wait for each other.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let limits = Limits { first: IDLE, patience: PATIENCE, quiet: pace.quiet };
    loop {
        let (ended, seen) = read(&mut stream, limits, false);
        if ended != Ended::Message {
            return;
        }
        let (answer, _) = lock(plan).answer(seen);
        if answer.status == 101 {
            upgraded(&mut stream, &answer, plan, pace);
            return;
        }
        // A peer that left early is the row's business.
        if !give(&mut stream, &answer, pace).unwrap_or(false) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Sends the answer; true when the connection can go on.
fn give(stream: &mut TcpStream, answer: &Answer, pace: &Pace) -> std::io::Result<bool> {
    std::thread::sleep(Duration::from_millis(answer.after));
    match answer.end {
        End::Reset => return Ok(false),
        End::Never => {
            std::thread::sleep(NEVER);
            return Ok(false);
        }
        End::Complete | End::ResetMidBody => {}
    }
    let mut bytes = format!("HTTP/1.1 {} Told\r\n", answer.status).into_bytes();
    for (name, value) in answer.all_headers() {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    for (i, piece) in answer.body.iter().enumerate() {
        if i > 0 {
            stream.write_all(&std::mem::take(&mut bytes))?;
            let between = Duration::from_millis(answer.between);
            std::thread::sleep(if pace.keeps { between.min(pace.between) } else { between });
        }
        bytes.extend_from_slice(&super::client::piece(piece, answer.chunked));
        if answer.end == End::ResetMidBody {
            stream.write_all(&bytes)?;
            std::thread::sleep(PAUSE);
            return Ok(false);
        }
    }
    if answer.chunked {
        if !answer.body.is_empty() && !pace.keeps {
            stream.write_all(&std::mem::take(&mut bytes))?;
            std::thread::sleep(PAUSE);
        }
        bytes.extend_from_slice(&super::client::last_chunk(&answer.trailers));
    }
    stream.write_all(&bytes)?;
    Ok(true)
}

/// No longer HTTP: what comes belongs to the request, and is answered with the body.
fn upgraded(stream: &mut TcpStream, answer: &Answer, plan: &Mutex<Plan>, pace: &Pace) {
    let head = Answer { body: Vec::new(), ..answer.clone() };
    let _ = give(stream, &head, pace);
    let mut buffer = [0; 1 << 10];
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut pieces = answer.body.iter();
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        if let Some(seen) = lock(plan).seen.last_mut() {
            seen.body.extend_from_slice(&buffer[..n]);
        }
        if let Some(piece) = pieces.next() {
            let _ = stream.write_all(&piece.bytes());
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
