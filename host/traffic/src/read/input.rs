//! Bytes of one file through a window: unpacked, buffered, never more than a record of them.

use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The first two bytes of gzip (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
const CHUNK: usize = 256 << 10;

/// A sliding window over a stream of bytes.
pub(super) struct Input {
    from: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    torn: bool,
}

impl Input {
    /// Opens a file, or standard input for `-`; unpacks gzip.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::new(io::stdin());
        }
        Self::new(File::open(path)?)
    }

    /// Reads from anything; unpacks gzip.
    pub(super) fn new(from: impl Read + Send + 'static) -> io::Result<Self> {
        let mut raw = Self::over(Box::new(from));
        raw.want(GZIP.len())?;
        if !raw.window().starts_with(&GZIP) {
            return Ok(raw);
        }
        let packed =
            BufReader::with_capacity(64 << 10, io::Cursor::new(raw.window().to_vec()).chain(raw.from));
        Ok(Self::over(Box::new(MultiGzDecoder::new(packed))))
    }

    fn over(from: Box<dyn Read + Send>) -> Self {
        Self { from, buffer: Vec::new(), start: 0, end: 0, offset: 0, ended: false, torn: false }
    }

    /// What is there and not consumed.
    pub(super) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Offset of the window in the unpacked stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The stream ended before its packing said so.
    pub(super) fn torn(&self) -> bool {
        self.torn
    }

    /// Lets go of the first `count` bytes of the window.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Makes the window at least `count` bytes long; false when the stream ends before.
    pub(super) fn want(&mut self, count: usize) -> io::Result<bool> {
        while self.end - self.start < count {
            if !self.more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the window longer; false at the end of the stream.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.end == self.buffer.len() {
            self.make_room();
        }
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A gzip file whose end is missing, or damaged: what came out before is good.
                Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) => {
                    self.ended = true;
                    self.torn = true;
                    return Ok(false);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Drops `count` bytes without holding them; false when the stream ends before.
    pub(super) fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        loop {
            let here = (self.end - self.start) as u64;
            let step = here.min(count);
            self.consume(step as usize);
            count -= step;
            if count == 0 {
                return Ok(true);
            }
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    fn make_room(&mut self) {
        let length = self.end - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.start = 0;
            self.end = length;
        }
        if self.buffer.len() - length < CHUNK / 2 {
            let grown = (self.buffer.len() * 2).max(CHUNK);
            self.buffer.resize(grown, 0);
        }
    }
}
