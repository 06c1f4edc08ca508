//! What became of the parts of a capture.

use crate::{Exchange, Gap, Place, Provenance};
use std::collections::BTreeMap;
use std::fmt;

/// Counts of a reading: nothing that a capture holds is dropped in silence.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Exchanges given out, of any provenance.
    pub taken: u64,
    /// Those of them made from log lines.
    pub synthesised: u64,
    /// Those of them with parts restored from other parts.
    pub derived: u64,
    /// Those of them that lack something.
    pub incomplete: u64,
    /// How many exchanges have each gap; one exchange may have several.
    pub gaps: BTreeMap<Gap, u64>,
    /// What could not be taken, by reason.
    pub skipped: BTreeMap<Skip, Skipped>,
}

/// Parts of a capture skipped for one reason.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first of them; its `number` counts nothing.
    pub first: Place,
}

/// Why a part of a capture was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// A line between log lines that is none of them.
    ForeignLine,
    /// The file ends inside a record.
    Torn,
    /// A record that cannot be read.
    Malformed,
    /// A record longer than [`crate::read::MAX_RECORD`].
    TooLong,
    /// A header list with more than [`crate::read::MAX_FIELDS`] fields.
    TooManyHeaders,
    /// A log line or a record without anything to replay (a request that the codec refused).
    Nothing,
    /// A piece of a stream whose beginning is not in the capture.
    StrayPiece,
    /// A record of a transport-socket tap, which holds raw bytes.
    SocketTap,
    /// A file in a folder that is no capture.
    ForeignFile,
    /// A file without any byte.
    EmptyFile,
    /// The end of a packed file is missing or damaged.
    TornGzip,
    /// A record of the own form with a version that this build does not know.
    UnknownVersion,
}

impl Skip {
    /// Stable name for machines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ForeignLine => "foreign-line",
            Self::Torn => "torn",
            Self::Malformed => "malformed",
            Self::TooLong => "too-long",
            Self::TooManyHeaders => "too-many-headers",
            Self::Nothing => "nothing",
            Self::StrayPiece => "stray-piece",
            Self::SocketTap => "socket-tap",
            Self::ForeignFile => "foreign-file",
            Self::EmptyFile => "empty-file",
            Self::TornGzip => "torn-gzip",
            Self::UnknownVersion => "unknown-version",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForeignLine => "not an access log line",
            Self::Torn => "the file ends inside a record",
            Self::Malformed => "record that cannot be read",
            Self::TooLong => "record longer than 16 MiB",
            Self::TooManyHeaders => "more than 4096 header fields",
            Self::Nothing => "nothing to replay in it",
            Self::StrayPiece => "piece of a stream whose beginning is missing",
            Self::SocketTap => "transport-socket tap, not read yet",
            Self::ForeignFile => "file that is no capture",
            Self::EmptyFile => "empty file",
            Self::TornGzip => "end of the gzip file missing or damaged",
            Self::UnknownVersion => "written by a newer tamis",
        })
    }
}

impl Tally {
    /// Counts an exchange that was given out.
    pub fn take(&mut self, exchange: &Exchange) {
        self.taken += 1;
        match exchange.provenance {
            Provenance::Recorded => {}
            Provenance::Derived => self.derived += 1,
            Provenance::Synthesised => self.synthesised += 1,
        }
        self.incomplete += u64::from(!exchange.gaps.is_empty());
        for gap in &exchange.gaps {
            *self.gaps.entry(*gap).or_default() += 1;
        }
    }

    /// Counts a part that was not taken, and keeps the first place of each reason.
    pub fn skip(&mut self, why: Skip, place: Place) {
        self.skipped.entry(why).or_insert_with(|| Skipped { count: 0, first: place }).count += 1;
    }

    /// How many parts were skipped for any reason.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().map(|s| s.count).sum()
    }
}
