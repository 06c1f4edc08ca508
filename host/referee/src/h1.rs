//! HTTP/1.1 off a blocking socket, byte for byte.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longest head of a message, bytes (16 MiB): above what Envoy is configured to let through.
const HEAD_LIMIT: usize = 16 << 20;
/// Longest body, bytes (256 MiB): a filter that writes without end must not fill memory.
const BODY_LIMIT: usize = 256 << 20;

/// Header fields or trailers, in order.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Why reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The peer closed, or reset the connection.
    Closed,
    /// Nothing more came in time.
    Silence,
    /// What came is not HTTP/1.1, or longer than the limits.
    Garbled,
}

/// The first line and the fields of a message, names in lower case, in order.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) first: Vec<u8>,
    pub(crate) fields: Fields,
}

impl Head {
    /// The word of the first line at this position.
    pub(crate) fn word(&self, index: usize) -> &[u8] {
        self.first.split(|b| *b == b' ').nth(index).unwrap_or_default()
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }

    /// How the body is framed. `response`: without any framing it goes on until the connection ends.
    pub(crate) fn framing(&self, response: bool) -> Framing {
        if self.get(b"transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().ends_with(b"chunked")) {
            return Framing::Chunked;
        }
        let length = self.get(b"content-length").and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
        match length {
            Some(length) => Framing::Length(length),
            None if response => Framing::Close,
            None => Framing::Length(0),
        }
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    Close,
}

/// A body and what came with it.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Fields>,
    /// It ended before its framing said so.
    pub(crate) cut: Option<Cut>,
}

/// Reads messages off one connection; silence of some length ends it.
pub(crate) struct Wire<'a> {
    stream: &'a TcpStream,
    bytes: Vec<u8>,
    at: usize,
    limit: Duration,
    end: Instant,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(stream: &'a TcpStream, limit: Duration) -> Self {
        Self { stream, bytes: Vec::new(), at: 0, limit, end: Instant::now() + limit }
    }

    /// From now on it waits so long.
    pub(crate) fn wait(&mut self, limit: Duration) {
        self.limit = limit;
        self.end = Instant::now() + limit;
    }

    /// Bytes that came and were not asked for.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// At least one more byte.
    pub(crate) fn more(&mut self) -> Result<(), Cut> {
        let wait = self.end.saturating_duration_since(Instant::now());
        // A zero timeout would mean for ever.
        let wait = wait.max(Duration::from_millis(1));
        if self.stream.set_read_timeout(Some(wait)).is_err() {
            return Err(Cut::Closed);
        }
        let mut buffer = [0; 16 << 10];
        loop {
            match (&mut &*self.stream).read(&mut buffer) {
                Ok(0) => return Err(Cut::Closed),
                Ok(n) => {
                    self.bytes.extend_from_slice(&buffer[..n]);
                    self.end = Instant::now() + self.limit;
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Cut::Silence);
                }
                Err(_) => return Err(Cut::Closed),
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Cut> {
        let mut from = self.at;
        loop {
            if let Some(end) = self.bytes[from..].iter().position(|b| *b == b'\n') {
                let line = self.bytes[self.at..from + end].to_vec();
                self.at = from + end + 1;
                return Ok(line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line));
            }
            from = self.bytes.len();
            if from - self.at > HEAD_LIMIT {
                return Err(Cut::Garbled);
            }
            self.more()?;
        }
    }

    fn fields(&mut self) -> Result<Fields, Cut> {
        let (mut fields, mut size) = (Vec::new(), 0);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            size += line.len();
            let colon = line.iter().position(|b| *b == b':').ok_or(Cut::Garbled)?;
            if size > HEAD_LIMIT {
                return Err(Cut::Garbled);
            }
            fields.push((line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    /// The head of the next message; interim responses (1xx, but for 101) are passed over.
    pub(crate) fn head(&mut self) -> Result<Head, Cut> {
        loop {
            let head = Head { first: self.line()?, fields: self.fields()? };
            let interim = head.word(0).starts_with(b"HTTP/") && head.word(1).starts_with(b"1");
            if !interim || head.word(1) == b"101" {
                return Ok(head);
            }
        }
    }

    /// The body that follows a head.
    pub(crate) fn tail(&mut self, framing: Framing) -> Tail {
        let mut tail = Tail::default();
        let read = match framing {
            Framing::Length(length) => self.exactly(length, &mut tail.body),
            Framing::Chunked => self.chunks(&mut tail),
            Framing::Close => loop {
                self.take(usize::MAX, &mut tail.body);
                match self.more() {
                    Ok(()) if tail.body.len() <= BODY_LIMIT => {}
                    Ok(()) => break Err(Cut::Garbled),
                    Err(Cut::Closed) => break Ok(()),
                    Err(cut) => break Err(cut),
                }
            },
        };
        tail.cut = read.err();
        tail
    }

    fn chunks(&mut self, tail: &mut Tail) -> Result<(), Cut> {
        loop {
            let line = self.line()?;
            let size = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
            let size = std::str::from_utf8(size).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
            match size.ok_or(Cut::Garbled)? {
                0 => break,
                size => self.exactly(size, &mut tail.body)?,
            }
            if !self.line()?.is_empty() {
                return Err(Cut::Garbled);
            }
        }
        let trailers = self.fields()?;
        tail.trailers = (!trailers.is_empty()).then_some(trailers);
        Ok(())
    }

    fn exactly(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), Cut> {
        if length.saturating_add(into.len()) > BODY_LIMIT {
            return Err(Cut::Garbled);
        }
        let mut missing = length;
        loop {
            missing -= self.take(missing, into);
            if missing == 0 {
                return Ok(());
            }
            self.more()?;
        }
    }

    fn take(&mut self, most: usize, into: &mut Vec<u8>) -> usize {
        let n = most.min(self.bytes.len() - self.at);
        into.extend_from_slice(&self.bytes[self.at..self.at + n]);
        self.at += n;
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.at = 0;
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    fn with(bytes: &'static [u8], test: impl FnOnce(Wire<'_>)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let writer = std::thread::spawn(move || TcpStream::connect(at).unwrap().write_all(bytes).unwrap());
        let (stream, _) = listener.accept().unwrap();
        test(Wire::new(&stream, Duration::from_secs(5)));
        writer.join().unwrap();
    }

    #[test]
    fn chunks_trailers_and_bytes_stay_as_they_are() {
        let bytes = b"POST /a?b HTTP/1.1\r\nX-A:  \xff \r\nx-a:2\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;x=y\r\nabc\r\n2\r\n\r\n\r\n0\r\nx-t: 1\r\n\r\nmore";
        with(bytes, |mut wire| {
            let head = wire.head().unwrap();
            assert_eq!((head.word(0), head.word(1)), (&b"POST"[..], &b"/a?b"[..]));
            assert_eq!(head.fields[0], (b"x-a".to_vec(), b"\xff".to_vec()));
            let tail = wire.tail(head.framing(false));
            assert_eq!((tail.body.as_slice(), tail.cut), (&b"abc\r\n"[..], None));
            assert_eq!(tail.trailers, Some(vec![(b"x-t".to_vec(), b"1".to_vec())]));
            wire.more().ok();
            assert_eq!(wire.rest(), b"more");
        });
    }

    #[test]
    fn a_body_that_ends_early_says_so_and_an_interim_response_is_none() {
        with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", |mut wire| {
            let head = wire.head().unwrap();
            assert_eq!(head.word(1), b"200");
            let tail = wire.tail(head.framing(true));
            assert_eq!((tail.body.as_slice(), tail.cut), (&b"abc"[..], Some(Cut::Closed)));
        });
        with(b"HTTP/1.1 200\r\n\r\nuntil the end", |mut wire| {
            let head = wire.head().unwrap();
            let tail = wire.tail(head.framing(true));
            assert_eq!((tail.body.as_slice(), tail.cut), (&b"until the end"[..], None));
        });
        with(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", |mut wire| {
            assert_eq!(wire.head().unwrap_err(), Cut::Garbled);
        });
    }
}
