//! JSON (RFC 8259) into typed configuration, with errors that say where.
//!
//! What serde_json does, in a fifth of its size in wasm: numbers are turned into floating point only where a type asks
//! for it, and an error shows them as they were written. Its messages are kept.

mod face;
mod keys;
#[cfg(test)]
mod tests;

pub(crate) use face::from_slice;

use serde::de::{self, Expected, Unexpected};
use std::borrow::Cow;
use std::fmt;

/// Levels of arrays and objects, at most: the stack of a filter is a megabyte.
const DEPTH: u8 = 128;

/// Stands for a number in a message until somebody knows how it was written.
const NUMBER: &str = "\0";

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Error {
    text: String,
    /// `rules[2].header`; built from the inside out.
    path: String,
    /// Offset of the byte at which it shows.
    at: Option<usize>,
}

type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn at(at: usize, text: &str) -> Self {
        Self { text: text.to_owned(), path: String::new(), at: Some(at) }
    }

    fn in_key(mut self, key: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{key}{joint}{}", self.path);
        self
    }

    fn in_index(mut self, index: usize) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{joint}{}", self.path);
        self
    }

    /// Where in the document, as `rules[2].header`; empty at its top.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Line and column of it, from 1; columns are bytes.
    pub(crate) fn place(&self, bytes: &[u8]) -> (usize, usize) {
        let before = &bytes[..self.at.unwrap_or(bytes.len()).min(bytes.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        (before.iter().filter(|b| **b == b'\n').count() + 1, before.len() - line_start + 1)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// As serde says it, but for floating point, whose formatting is larger than all of this.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(b) => write!(f, "boolean `{b}`"),
            Unexpected::Unsigned(n) => write!(f, "integer `{n}`"),
            Unexpected::Signed(n) => write!(f, "integer `{n}`"),
            Unexpected::Float(_) => write!(f, "floating point `{NUMBER}`"),
            Unexpected::Char(c) => write!(f, "character `{c}`"),
            Unexpected::Str(s) => write!(f, "string {s:?}"),
            Unexpected::Bytes(_) => f.write_str("byte array"),
            Unexpected::Unit | Unexpected::Option => f.write_str("null"),
            Unexpected::Seq => f.write_str("sequence"),
            Unexpected::Map => f.write_str("map"),
            Unexpected::NewtypeStruct => f.write_str("newtype struct"),
            Unexpected::Enum => f.write_str("enum"),
            Unexpected::UnitVariant => f.write_str("unit variant"),
            Unexpected::NewtypeVariant => f.write_str("newtype variant"),
            Unexpected::TupleVariant => f.write_str("tuple variant"),
            Unexpected::StructVariant => f.write_str("struct variant"),
            Unexpected::Other(what) => f.write_str(what),
        }
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self { text: text.to_string(), path: String::new(), at: None }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid type: {}, expected {expected}", Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid value: {}, expected {expected}", Found(found)))
    }
}

/// The text of a document, and how far it is read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space. It stays.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// As [`peek`](Self::peek), where a value has to be.
    fn value(&mut self) -> Result<u8> {
        self.peek().ok_or_else(|| self.wrong("EOF while parsing a value"))
    }

    fn wrong(&self, text: &str) -> Error {
        Error::at(self.at, text)
    }

    /// Takes this byte when it is next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes `null`, `true` or `false`, whose first byte was seen.
    fn word(&mut self, word: &str) -> Result<()> {
        let rest = &self.bytes[self.at..];
        if !rest.starts_with(word.as_bytes()) {
            let ends = word.as_bytes().starts_with(rest);
            return Err(self.wrong(if ends { "EOF while parsing a value" } else { "expected ident" }));
        }
        self.at += word.len();
        Ok(())
    }

    /// Goes one level down, past the bracket.
    fn enter(&mut self) -> Result<()> {
        if self.depth == DEPTH {
            return Err(self.wrong("recursion limit exceeded"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Before an element: true when there is one, false past the closing bracket.
    fn more(&mut self, close: u8, is_first: bool) -> Result<bool> {
        let (eof, expected) = match close {
            b']' => ("EOF while parsing a list", "expected `,` or `]`"),
            _ => ("EOF while parsing an object", "expected `,` or `}`"),
        };
        if self.take(close) {
            self.depth -= 1;
            return Ok(false);
        }
        if self.peek().is_none() {
            return Err(self.wrong(eof));
        }
        if !is_first {
            if !self.take(b',') {
                return Err(self.wrong(expected));
            }
            match self.peek() {
                Some(byte) if byte == close => return Err(self.wrong("trailing comma")),
                None => return Err(self.wrong(eof)),
                _ => {}
            }
        }
        Ok(true)
    }

    /// A key, without its colon.
    fn key(&mut self) -> Result<Cow<'a, str>> {
        match self.peek() {
            Some(b'"') => self.string(),
            _ => Err(self.wrong("key must be a string")),
        }
    }

    fn colon(&mut self) -> Result<()> {
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.wrong("expected `:`")),
            None => Err(self.wrong("EOF while parsing an object")),
        }
    }

    /// A number as it is written, and whether it is an integer.
    fn number(&mut self) -> Result<(&'a str, bool)> {
        let start = self.at;
        let bytes = self.bytes;
        let digits = |at: usize| bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let is_at = |at: usize, list: &[u8]| bytes.get(at).is_some_and(|byte| list.contains(byte));
        let mut at = start + usize::from(is_at(start, b"-"));
        let whole = digits(at);
        let bad = whole == 0 || (whole > 1 && bytes[at] == b'0');
        at += whole;
        let mut is_integer = true;
        let mut fits = !bad;
        if is_at(at, b".") {
            is_integer = false;
            let fraction = digits(at + 1);
            fits &= fraction > 0;
            at += 1 + fraction;
        }
        if is_at(at, b"eE") {
            is_integer = false;
            at += 1;
            at += usize::from(is_at(at, b"+-"));
            let exponent = digits(at);
            fits &= exponent > 0;
            at += exponent;
        }
        match std::str::from_utf8(&bytes[start..at]) {
            Ok(text) if fits => {
                self.at = at;
                // Only floating point can tell `-0` from `0`.
                Ok((text, is_integer && text != "-0"))
            }
            _ => Err(self.wrong("invalid number")),
        }
    }

    /// A string, whose quote was seen.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let mut owned: Option<String> = None;
        let mut from = self.at + 1;
        loop {
            let plain =
                self.bytes[from..].iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)).count();
            let bytes = &self.bytes[from..from + plain];
            let piece = std::str::from_utf8(bytes)
                .map_err(|e| Error::at(from + e.valid_up_to(), "invalid unicode code point"))?;
            if let Some(owned) = &mut owned {
                owned.push_str(piece);
            }
            let at = from + plain;
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(owned.map_or(Cow::Borrowed(piece), Cow::Owned));
                }
                Some(b'\\') => {
                    let (c, next) = self.escape(at + 1)?;
                    owned.get_or_insert_with(|| piece.to_owned()).push(c);
                    from = next;
                }
                Some(_) => {
                    let text = "control character (\\u0000-\\u001F) found while parsing a string";
                    return Err(Error::at(at, text));
                }
                None => return Err(Error::at(at, "EOF while parsing a string")),
            }
        }
    }

    /// What follows a backslash, and where it ends.
    fn escape(&self, at: usize) -> Result<(char, usize)> {
        let plain = match self.bytes.get(at) {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(at + 1),
            Some(_) => return Err(Error::at(at, "invalid escape")),
            None => return Err(Error::at(at, "EOF while parsing a string")),
        };
        Ok((plain, at + 1))
    }

    fn unicode(&self, at: usize) -> Result<(char, usize)> {
        let unit = |at: usize| {
            let digits = self.bytes.get(at..at + 4).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
            let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
            text.and_then(|text| u16::from_str_radix(text, 16).ok())
        };
        let Some(first) = unit(at) else { return Err(Error::at(at, "invalid escape")) };
        let has_second = self.bytes.get(at + 4..at + 6) == Some(b"\\u");
        let second = if has_second { unit(at + 6) } else { None };
        match char::decode_utf16(std::iter::once(first).chain(second)).next() {
            Some(Ok(c)) => Ok((c, at + if c > '\u{ffff}' { 10 } else { 4 })),
            _ => Err(Error::at(at, "lone leading surrogate in hex escape")),
        }
    }

    /// Reads past a value that nobody wants.
    fn skip(&mut self) -> Result<()> {
        match self.value()? {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'[' => {
                self.enter()?;
                let mut is_first = true;
                while self.more(b']', is_first)? {
                    is_first = false;
                    self.skip()?;
                }
                Ok(())
            }
            b'{' => {
                self.enter()?;
                let mut is_first = true;
                while self.more(b'}', is_first)? {
                    is_first = false;
                    self.key()?;
                    self.colon()?;
                    self.skip()?;
                }
                Ok(())
            }
            _ => Err(self.wrong("expected value")),
        }
    }

    /// The error for a value that is none of the expected ones.
    fn mismatch(&mut self, expected: &dyn Expected) -> Error {
        let at = self.at;
        let found = match self.bytes.get(at) {
            Some(b'"') => match self.string() {
                Ok(text) => return located(at, de::Error::invalid_type(Unexpected::Str(&text), expected)),
                Err(error) => return error,
            },
            Some(b'-' | b'0'..=b'9') => match self.number() {
                Ok((text, is_integer)) => {
                    let kind = if is_integer { "integer" } else { "floating point" };
                    let text = format!("invalid type: {kind} `{text}`, expected {expected}");
                    return Error::at(at, &text);
                }
                Err(error) => return error,
            },
            Some(b't') => self.word("true").map(|()| Unexpected::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Unexpected::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Unexpected::Unit),
            Some(b'[') => Ok(Unexpected::Seq),
            Some(b'{') => Ok(Unexpected::Map),
            _ => Err(self.wrong("expected value")),
        };
        match found {
            Ok(found) => located(at, de::Error::invalid_type(found, expected)),
            Err(error) => error,
        }
    }
}

/// The error, at this offset when it has none yet.
fn located(at: usize, mut error: Error) -> Error {
    error.at.get_or_insert(at);
    error
}
