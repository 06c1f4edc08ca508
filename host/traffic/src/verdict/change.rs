//! One difference between two messages, and a reusable list of them.

use crate::redact::{self, Secrets};
use std::fmt;

/// Which message of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Half {
    /// What the upstream gets.
    Request,
    /// What the client gets.
    Response,
}

impl Half {
    /// `request` or `response`.
    pub const fn word(self) -> &'static str {
        match self {
            Half::Request => "request",
            Half::Response => "response",
        }
    }
}

/// Which header list of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The header block, pseudo headers included.
    Headers,
    /// The trailers.
    Trailers,
}

/// One difference; `old` is what was recorded, `new` what was played.
///
/// `Display` gives one readable line with secrets taken out; [`Change::display`] lets you choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// A field was added (no `old`), removed (no `new`) or has another value. Pseudo headers come as they
    /// are named (`:path`, `:status`); [`Change::label`] gives the word for them.
    Field {
        /// Of which message.
        half: Half,
        /// Of which list.
        section: Section,
        /// Its name.
        name: &'a [u8],
        /// The recorded value.
        old: Option<&'a [u8]>,
        /// The played value.
        new: Option<&'a [u8]>,
    },
    /// The body has other bytes.
    Body {
        /// Of which message.
        half: Half,
        /// Recorded length, bytes.
        old: u64,
        /// Played length, bytes.
        new: u64,
        /// Offset of the first byte that differs, or the length of the shorter one.
        at: u64,
    },
    /// Trailers without any field came (`now`) or went: Envoy tells absent ones from empty ones.
    EmptyTrailers {
        /// Of which message.
        half: Half,
        /// They are there now.
        now: bool,
    },
    /// There is such a message on one side only: it reached the upstream or the client now (`now`) or before.
    Message {
        /// Which message.
        half: Half,
        /// It is there now.
        now: bool,
    },
}

impl Change<'_> {
    /// Of which message.
    pub const fn half(&self) -> Half {
        match *self {
            Change::Field { half, .. }
            | Change::Body { half, .. }
            | Change::EmptyTrailers { half, .. }
            | Change::Message { half, .. } => half,
        }
    }

    /// A word for what changed: `path`, `status`, `header`, `trailer`, `body`, `trailers`, `message`.
    pub const fn label(&self) -> &'static str {
        match *self {
            Change::Field { section: Section::Trailers, .. } => "trailer",
            Change::Field { name, .. } => match name {
                b":path" => "path",
                b":method" => "method",
                b":authority" => "authority",
                b":scheme" => "scheme",
                b":status" => "status",
                _ => "header",
            },
            Change::Body { .. } => "body",
            Change::EmptyTrailers { .. } => "trailers",
            Change::Message { .. } => "message",
        }
    }

    /// The readable line, with secrets shown or not.
    pub fn display(&self, secrets: Secrets) -> impl fmt::Display + '_ {
        Line { change: self, secrets }
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(Secrets::Redact).fmt(f)
    }
}

struct Line<'a> {
    change: &'a Change<'a>,
    secrets: Secrets,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = self.change.half().word();
        match *self.change {
            Change::Field { name, old, new, .. } => {
                write!(f, "{half} {}", self.change.label())?;
                if matches!(self.change.label(), "header" | "trailer") {
                    write!(f, " {}", redact::show(name))?;
                }
                let show = |value| redact::value(name, value, self.secrets);
                match (old, new) {
                    (Some(old), Some(new)) => write!(f, ": {} -> {}", show(old), show(new)),
                    (None, Some(new)) => write!(f, " added: {}", show(new)),
                    (Some(old), None) => write!(f, " removed: {}", show(old)),
                    (None, None) => Ok(()),
                }
            }
            Change::Body { old, new, at, .. } if old == new => {
                write!(f, "{half} body: {new} bytes, differs from byte {at}")
            }
            Change::Body { old, new, at, .. } => {
                write!(f, "{half} body: {old} -> {new} bytes, differs from byte {at}")
            }
            Change::EmptyTrailers { now: true, .. } => write!(f, "{half} trailers added, empty"),
            Change::EmptyTrailers { now: false, .. } => write!(f, "{half} trailers removed, empty"),
            Change::Message { half: Half::Request, now: true } => {
                f.write_str("request reaches the upstream now")
            }
            Change::Message { half: Half::Request, now: false } => {
                f.write_str("request no longer reaches the upstream")
            }
            Change::Message { half: Half::Response, now: true } => f.write_str("client gets a response now"),
            Change::Message { half: Half::Response, now: false } => {
                f.write_str("client no longer gets a response")
            }
        }
    }
}

/// A list of changes in one buffer; emptied and filled without allocating.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Changes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A [`Change`] with its slices as lengths: they lie one behind the other from `start` in the list's buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Entry {
    Field { half: Half, section: Section, start: usize, name: usize, old: Option<usize>, new: Option<usize> },
    Body { half: Half, old: u64, new: u64, at: u64 },
    EmptyTrailers { half: Half, now: bool },
    Message { half: Half, now: bool },
}

impl Changes {
    /// Empties the list and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The changes, request before response.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Change<'_>> + Clone {
        self.entries.iter().map(|entry| self.view(*entry))
    }

    /// Appends a copy of `change`.
    pub fn push(&mut self, change: Change<'_>) {
        let entry = match change {
            Change::Field { half, section, name, old, new } => {
                let start = self.bytes.len();
                for part in [Some(name), old, new].into_iter().flatten() {
                    self.bytes.extend_from_slice(part);
                }
                let (old, new) = (old.map(<[u8]>::len), new.map(<[u8]>::len));
                Entry::Field { half, section, start, name: name.len(), old, new }
            }
            Change::Body { half, old, new, at } => Entry::Body { half, old, new, at },
            Change::EmptyTrailers { half, now } => Entry::EmptyTrailers { half, now },
            Change::Message { half, now } => Entry::Message { half, now },
        };
        self.entries.push(entry);
    }

    fn view(&self, entry: Entry) -> Change<'_> {
        match entry {
            Entry::Field { half, section, start, name, old, new } => {
                let (name, rest) = self.bytes[start..].split_at(name);
                let (old, rest) = match old {
                    Some(len) => (Some(&rest[..len]), &rest[len..]),
                    None => (None, rest),
                };
                Change::Field { half, section, name, old, new: new.map(|len| &rest[..len]) }
            }
            Entry::Body { half, old, new, at } => Change::Body { half, old, new, at },
            Entry::EmptyTrailers { half, now } => Change::EmptyTrailers { half, now },
            Entry::Message { half, now } => Change::Message { half, now },
        }
    }
}
