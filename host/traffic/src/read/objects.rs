//! Finds JSON objects that follow each other, over as many lines as they like, in a file that may be torn.

use super::input::Input;
use super::limits::MAX_RECORD;
use crate::Skip;
use std::io;

/// First keys of an Envoy tap object: where a new record surely begins.
const KEYS: [&[u8]; 2] = [b"http", b"socket"];
/// How far behind a brace the first key is looked for; Envoy's own distance is 3 bytes.
const AHEAD: usize = 32;

/// What the next part of the file is.
pub(super) enum Object {
    /// An object of this length at the start of the window.
    Found(usize),
    /// The start of the window is no whole object; the rest of it lies behind us. Says why.
    Lost(Skip),
    /// The end of the file.
    End,
}

/// Brings the next object to the start of the window, and says how long it is.
pub(super) fn next(input: &mut Input) -> io::Result<Object> {
    loop {
        match input.window().iter().position(|b| !b" \t\r\n,[]\0".contains(b)) {
            None => {
                input.consume(usize::MAX);
                if !input.more()? {
                    return Ok(Object::End);
                }
            }
            Some(blank) => {
                input.consume(blank);
                break;
            }
        }
    }
    if input.window()[0] != b'{' {
        resume(input, 0)?;
        return Ok(Object::Lost(Skip::ForeignLine));
    }
    let mut scan = Scan::default();
    loop {
        match scan.over(input.window()) {
            Step::Whole => return Ok(Object::Found(scan.at)),
            // A raw line break in a string, or a new record in the middle of this one.
            Step::Broken => {
                resume(input, scan.at)?;
                return Ok(Object::Lost(Skip::Torn));
            }
            Step::Ahead => {
                let here = input.window().len();
                if !input.want(scan.at + AHEAD)? && input.window().len() == here {
                    scan.looked = true;
                }
            }
            Step::More if scan.at > MAX_RECORD => {
                resume(input, scan.at)?;
                return Ok(Object::Lost(Skip::TooLong));
            }
            Step::More => {
                if !input.more()? {
                    input.consume(usize::MAX);
                    return Ok(Object::Lost(Skip::Torn));
                }
            }
        }
    }
}

enum Step {
    Whole,
    Broken,
    /// More bytes would tell whether the brace at hand begins a record.
    Ahead,
    More,
}

#[derive(Default)]
struct Scan {
    at: usize,
    depth: usize,
    quoted: bool,
    /// There is nothing more to look ahead to.
    looked: bool,
}

impl Scan {
    fn over(&mut self, window: &[u8]) -> Step {
        while self.at < window.len() {
            if self.quoted {
                let Some(step) = memchr::memchr3(b'"', b'\\', b'\n', &window[self.at..]) else {
                    self.at = window.len();
                    return Step::More;
                };
                self.at += step;
                match window[self.at] {
                    b'"' => self.quoted = false,
                    b'\\' if self.at + 1 == window.len() => return Step::More,
                    b'\\' => self.at += 1,
                    _ => return Step::Broken,
                }
                self.at += 1;
                continue;
            }
            match window[self.at] {
                b'"' => self.quoted = true,
                b'{' => {
                    if self.depth > 0 && window[self.at - 1] == b'\n' {
                        match begins(&window[self.at..]) {
                            None if !self.looked => return Step::Ahead,
                            Some(true) => return Step::Broken,
                            _ => {}
                        }
                    }
                    self.depth += 1;
                }
                b'}' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.at += 1;
                        return Step::Whole;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        Step::More
    }
}

/// Whether a record begins with this brace; none when more bytes are needed to tell.
fn begins(text: &[u8]) -> Option<bool> {
    let whole = text.len() >= AHEAD;
    let text = &text[..text.len().min(AHEAD)];
    let inner = text[1..].trim_ascii_start();
    match inner.strip_prefix(b"\"") {
        Some(key) if KEYS.iter().any(|known| key.starts_with(known)) => Some(true),
        _ if whole => Some(false),
        _ => None,
    }
}

/// Goes on behind `from` to the next line that begins a record, holding at most a little.
fn resume(input: &mut Input, from: usize) -> io::Result<()> {
    input.consume(from);
    loop {
        let window = input.window();
        let found = (window.first() == Some(&b'{'))
            .then_some(0)
            .into_iter()
            .chain(memchr::memmem::find_iter(window, b"\n{").map(|at| at + 1))
            .find(|at| begins(&window[*at..]) != Some(false));
        if let Some(at) = found {
            input.consume(at);
            let whole = input.want(AHEAD)?;
            if !whole || begins(input.window()) == Some(true) {
                return Ok(());
            }
            input.consume(1);
            continue;
        }
        // The line break may be the last byte here and its brace the first of what comes.
        let keep = usize::from(window.last() == Some(&b'\n'));
        input.consume(window.len() - keep);
        if !input.more()? {
            input.consume(usize::MAX);
            return Ok(());
        }
    }
}
