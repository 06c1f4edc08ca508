//! One HTTP/1 message off the wire, whatever its length says.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A body without its end. Whether a peer sees a reset or silence depends on Envoy's timers.
pub const CUT: &str = "the body has no end";

/// Longest body that is shown as it is, in bytes.
const SHOWN: usize = 1 << 10;

/// Names in lower case, and values.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

/// A message as a peer saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// First line: `GET /path`, or the status.
    pub start: String,
    /// Header fields in order, names in lower case. Without what frames the message on the wire.
    pub headers: Fields,
    /// All bytes that came after the headers, with chunking taken off.
    pub body: Vec<u8>,
    /// Trailer fields in order.
    pub trailers: Fields,
    /// What was wrong with it, in words.
    pub odd: Vec<String>,
}

/// Headers that belong to a connection or to one proxy, not to the message.
const HOP: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "proxy-connection"];

impl Seen {
    /// As text for comparison. Scripts are left out: the row shows them.
    pub fn show(&self) -> Vec<String> {
        let mut lines = vec![self.start.clone()];
        for (name, value) in &self.headers {
            if !HOP.contains(&name.as_str()) && !name.starts_with("x-script") {
                lines.push(format!("  {name}: {}", value.escape_ascii()));
            }
        }
        if self.body.len() > SHOWN {
            lines.push(format!("  body of {} bytes", self.body.len()));
        } else if !self.body.is_empty() {
            lines.push(format!("  body \"{}\"", self.body.escape_ascii()));
        }
        for (name, value) in &self.trailers {
            lines.push(format!("  trailer {name}: {}", value.escape_ascii()));
        }
        lines.extend(self.odd.iter().map(|o| format!("  ! {o}")));
        lines
    }

    /// Says so when the body is not as long as its header promises.
    pub fn check_length(&mut self) {
        let promised = self.headers.iter().find(|(n, _)| n == "content-length");
        let promised = promised.and_then(|(_, v)| std::str::from_utf8(v).ok()?.parse::<usize>().ok());
        if let Some(promised) = promised.filter(|p| *p != self.body.len()) {
            self.odd.push(format!("content-length says {promised}, {} bytes came", self.body.len()));
        }
    }
}

/// How the reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A message is there.
    Message,
    /// The peer closed before a first byte.
    Closed,
    /// Nothing came in time.
    Nothing,
}

/// How long a reader waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For the first byte.
    pub(crate) first: Duration,
    /// For more of a message that stops short.
    pub(crate) patience: Duration,
    /// For bytes beyond the end; with zero they are not looked for.
    pub(crate) quiet: Duration,
}

/// Reads one message. `bodiless` is true for messages that have no body by rule.
pub(crate) fn read(stream: &mut TcpStream, limits: Limits, bodiless: bool) -> (Ended, Seen) {
    let Limits { first, patience, quiet } = limits;
    let mut bytes = Vec::new();
    let mut end = Instant::now() + first;
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        match more(stream, &mut bytes, end.saturating_duration_since(Instant::now())) {
            More::Bytes => end = Instant::now() + patience,
            More::Closed if bytes.is_empty() => return (Ended::Closed, Seen::default()),
            More::Silence if bytes.is_empty() => return (Ended::Nothing, Seen::default()),
            _ => {
                let odd = vec!["headers were cut off".into()];
                return (Ended::Message, Seen { body: bytes, odd, ..Seen::default() });
            }
        }
    };
    let mut seen = parse_head(&bytes[..head]);
    let mut body = bytes.split_off(head);
    let value = |name: &str| seen.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let chunked = value("transfer-encoding").is_some_and(|v| v.ends_with(b"chunked"));
    let length =
        value("content-length").and_then(|v| String::from_utf8_lossy(&v).parse::<usize>().ok()).unwrap_or(0);
    // Envoy frames no body of such a status, and sends it all the same: only silence ends it.
    let unframed =
        !bodiless && !chunked && seen.start.parse::<u32>().is_ok_and(|status| status < 200 && status != 101);
    // Cheap for most pieces: a body in chunks ends so, with or without trailers.
    let whole = |body: &[u8]| {
        if bodiless {
            true
        } else if unframed {
            false
        } else if chunked {
            body.ends_with(b"\r\n\r\n") && unchunk(body).2
        } else {
            body.len() >= length
        }
    };
    let (mut complete, mut closed) = (true, false);
    while !whole(&body) {
        match more(stream, &mut body, patience) {
            More::Bytes => {}
            More::Silence => {
                complete = false;
                break;
            }
            More::Closed => {
                complete = false;
                closed = true;
                break;
            }
        }
    }
    // More than was promised?
    while !quiet.is_zero() && !closed && matches!(more(stream, &mut body, quiet), More::Bytes) {}
    if chunked {
        (seen.body, seen.trailers, _) = unchunk(&body);
    } else {
        seen.body = body;
    }
    if chunked && !complete {
        seen.odd.push(CUT.into());
    }
    if !bodiless {
        seen.check_length();
    }
    (Ended::Message, seen)
}

enum More {
    Bytes,
    Silence,
    Closed,
}

fn more(stream: &mut TcpStream, into: &mut Vec<u8>, wait: Duration) -> More {
    // A zero timeout would mean for ever.
    if stream.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).is_err() {
        return More::Closed;
    }
    let mut buffer = [0; 16 << 10];
    match stream.read(&mut buffer) {
        Ok(0) => More::Closed,
        Ok(n) => {
            into.extend_from_slice(&buffer[..n]);
            More::Bytes
        }
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => More::Silence,
        Err(_) => More::Closed,
    }
}

fn parse_head(head: &[u8]) -> Seen {
    let mut lines = head.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut words = first.split(' ');
    let start = match words.next() {
        Some(version) if version.starts_with("HTTP/") => words.next().unwrap_or("").to_owned(),
        Some(method) => format!("{method} {}", words.next().unwrap_or("")),
        None => String::new(),
    };
    Seen { start, headers: lines.filter_map(field).collect(), ..Seen::default() }
}

/// A header or trailer field.
fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|b| *b == b':')?;
    let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
    Some((name, line[colon + 1..].trim_ascii().to_vec()))
}

/// Takes chunk sizes off; bytes that are no chunk stay as they are. With the trailers, and whether it ended.
fn unchunk(mut raw: &[u8]) -> (Vec<u8>, Fields, bool) {
    let (mut body, mut trailers, mut ended) = (Vec::new(), Vec::new(), false);
    while let Some(at) = raw.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&raw[..at]).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
        let Some(size) = size.filter(|s| raw.len() >= at + 2 + s) else { break };
        if size == 0 {
            let Some(end) = raw.windows(4).position(|w| w == b"\r\n\r\n") else { break };
            trailers = raw[at + 2..end.max(at + 2)].split(|b| *b == b'\n').filter_map(field).collect();
            (raw, ended) = (&raw[end + 4..], true);
            break;
        }
        body.extend_from_slice(&raw[at + 2..at + 2 + size]);
        raw = raw.get(at + 4 + size..).unwrap_or_default();
    }
    body.extend_from_slice(raw);
    (body, trailers, ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_off_and_what_is_no_chunk_stays() {
        let none = Vec::new;
        assert_eq!(unchunk(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), (b"abcde".to_vec(), none(), true));
        assert_eq!(unchunk(b"3\r\nabc\r\n0\r\n\r\nHTTP"), (b"abcHTTP".to_vec(), none(), true));
        assert_eq!(unchunk(b"3\r\nabc\r\n0\r\n"), (b"abc0\r\n".to_vec(), none(), false));
        let trailers = vec![("x-t".to_owned(), b"1".to_vec())];
        assert_eq!(unchunk(b"1\r\na\r\n0\r\nX-T: 1\r\n\r\n"), (b"a".to_vec(), trailers, true));
    }

    #[test]
    fn a_body_of_another_length_is_said() {
        let mut seen = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        seen.body = b"abc".to_vec();
        seen.check_length();
        assert_eq!(
            seen.show(),
            ["200", "  content-length: 5", "  body \"abc\"", "  ! content-length says 5, 3 bytes came"]
        );
    }
}
