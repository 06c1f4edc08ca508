//! What Envoy writes while it runs: its log and its access log, in the order of writing.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How Envoy is told to write a line of its log. Its messages are escaped, so that each is one line.
pub(crate) const FORMAT: &str = "%t|%l|%n|%v";

/// Lines that are kept when nobody takes them; the oldest go.
const KEPT: usize = 200_000;

/// A line that Envoy logged.
#[derive(Debug, Clone)]
pub struct Line {
    /// Logged by the main thread: the canary VM and the main thread's own VM live there. Requests are
    /// served by the worker.
    pub main_thread: bool,
    /// The thread, as Envoy numbers it.
    pub thread: String,
    /// Envoy's word for the level: `info`, `warning`, …
    pub level: String,
    /// Which part of Envoy logged it: `wasm`, `lua`, …
    pub logger: String,
    /// The message as text.
    pub text: String,
    /// The message as bytes.
    pub bytes: Vec<u8>,
}

#[derive(Default)]
struct Written {
    log: Vec<Line>,
    access: Vec<String>,
}

/// Both logs, and a bell that rings for each line.
#[derive(Default)]
pub(crate) struct Lines {
    written: Mutex<Written>,
    bell: Condvar,
}

impl Lines {
    /// Reads the log until it ends.
    pub(crate) fn read_log(&self, from: impl Read, pid: u32) {
        for raw in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = parse(&raw, pid);
            let mut written = self.lock();
            if written.log.len() >= KEPT {
                written.log.drain(..KEPT / 2);
            }
            written.log.push(line);
            self.bell.notify_all();
        }
    }

    /// Reads the access log until it ends.
    pub(crate) fn read_access(&self, from: impl Read) {
        for raw in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let mut written = self.lock();
            if written.access.len() < KEPT {
                written.access.push(String::from_utf8_lossy(&raw).into_owned());
            }
            self.bell.notify_all();
        }
    }

    /// All log lines that nobody took.
    pub(crate) fn log(&self) -> Vec<Line> {
        self.lock().log.clone()
    }

    /// Takes all log lines.
    pub(crate) fn take_log(&self) -> Vec<Line> {
        std::mem::take(&mut self.lock().log)
    }

    /// Takes all log lines; waits for one when there is none.
    pub(crate) fn next_log(&self, limit: Duration) -> Vec<Line> {
        self.wait(limit, |written| !written.log.is_empty());
        self.take_log()
    }

    /// Takes the lines of the access log.
    pub(crate) fn take_access(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().access)
    }

    /// Waits for a line of the access log.
    pub(crate) fn wait_access(&self, limit: Duration) -> bool {
        self.wait(limit, |written| !written.access.is_empty())
    }

    /// Waits until there are more than so many log lines of a sort.
    pub(crate) fn wait_log(&self, limit: Duration, known: usize, is: impl Fn(&Line) -> bool) -> bool {
        self.wait(limit, |written| written.log.iter().filter(|line| is(line)).nth(known).is_some())
    }

    /// How many log lines of a sort there are.
    pub(crate) fn count(&self, is: impl Fn(&Line) -> bool) -> usize {
        self.lock().log.iter().filter(|line| is(line)).count()
    }

    fn wait(&self, limit: Duration, done: impl Fn(&Written) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut written = self.lock();
        loop {
            if done(&written) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            written = self.bell.wait_timeout(written, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn parse(raw: &[u8], pid: u32) -> Line {
    let mut parts = raw.splitn(4, |b| *b == b'|');
    let mut word = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (thread, level, logger) = (word(), word(), word());
    // What has no such head comes from elsewhere, a linker for instance, and is shown as it is.
    let bytes = parts.next().map(unescape).unwrap_or_else(|| raw.to_vec());
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Line { main_thread: thread == pid.to_string(), thread, level, logger, text, bytes }
}

/// Undoes the C escapes of `--log-format-escaped`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let (mut out, mut i) = (Vec::with_capacity(text.len()), 0);
    while i < text.len() {
        let next = (text[i] == b'\\').then(|| text.get(i + 1)).flatten();
        let octal =
            text.get(i + 1..i + 4).and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        let (byte, length) = match (next, octal) {
            (None, _) => (text[i], 1),
            (Some(b'n'), _) => (b'\n', 2),
            (Some(b'r'), _) => (b'\r', 2),
            (Some(b't'), _) => (b'\t', 2),
            (Some(b'0'..=b'7'), Some(byte)) => (byte, 4),
            (Some(other), _) => (*other, 2),
        };
        out.push(byte);
        i += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_and_its_escapes_undone() {
        let line = parse(br#"7|info|wasm|wasm log a: x|y\n\"q\" \\377 \377\t'"#, 8);
        assert!(!line.main_thread);
        assert_eq!((line.level.as_str(), line.logger.as_str()), ("info", "wasm"));
        assert_eq!(line.bytes, b"wasm log a: x|y\n\"q\" \\377 \xff\t'");
        assert!(parse(b"8|warning|main|stop", 8).main_thread);
        assert_eq!(parse(b"no head", 8).text, "no head");
    }
}
