//! Reads captures: any of the known formats, told apart by content, packed or not, in constant memory.
//!
//! ```no_run
//! # fn main() -> Result<(), tamis_traffic::read::ReadError> {
//! use tamis_traffic::{Exchange, read};
//! let mut reader = read::open(&["captures/web.json".into()], &read::ReadOptions::default())?;
//! let mut exchange = Exchange::default();
//! while reader.next(&mut exchange)? {
//!     assert_eq!(exchange.place.file, 0);
//! }
//! assert_eq!(reader.tally().skipped_total(), 0);
//! # Ok(())
//! # }
//! ```

mod access;
mod detect;
mod error;
mod finish;
mod input;
mod limits;
mod lines;
mod objects;
mod own;
mod streams;
mod tap_binary;
mod tap_json;
mod tap_pb;
pub(crate) mod wire;
mod wrap;

use crate::{Exchange, Place, Side, Skip, Tally};
use detect::{Format, Sniffed};
use input::Input;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use detect::Known;
pub use error::ReadError;
pub use limits::{MAX_BODY, MAX_FIELDS, MAX_OPEN_BYTES, MAX_OPEN_STREAMS, MAX_RECORD, SNIFF};

/// How to read what a capture leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The side of the recording proxy, where the capture does not show it. Default: [`Side::Unknown`].
    pub side: Side,
    /// Whether the `:path` of a buffered tap is put back to what the filters saw. Default: [`Restore::Late`].
    pub restore: Restore,
    /// Whether headers that the router added after the filters are taken out of the requests of a buffered tap
    /// (`x-envoy-original-path`, `-attempt-count`, `-decorator-operation`, `-expected-rq-timeout-ms`). Only
    /// those are, that stand behind what the connection manager adds before all filters: the ones before came
    /// over the wire. Default: true. Either way such an exchange has [`crate::Gap::LateHeaders`].
    pub drop_late: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { side: Side::Unknown, restore: Restore::Late, drop_late: true }
    }
}

/// Whether `:path` is put back from `x-envoy-original-path` (a buffered tap writes headers at the end of the
/// stream, after route rewrites; docs/captures.md 0.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restore {
    /// Where this proxy rewrote it. A rewrite by the client's proxy came over the wire and stays.
    #[default]
    Late,
    /// Wherever the header is.
    Always,
    /// Nowhere.
    Never,
}

/// Opens captures: files, folders of files (in order of their names), or `-` for standard input.
///
/// # Errors
/// When a path cannot be opened, a folder is empty, or a named file has a format that is not read. A file in a
/// folder that is no capture is counted instead, as [`Skip::ForeignFile`].
pub fn open(paths: &[PathBuf], options: &ReadOptions) -> Result<Reader, ReadError> {
    if paths.is_empty() {
        return Err(ReadError::Nothing { path: None });
    }
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            for entry in fs::read_dir(path).map_err(|e| failed(path, e))? {
                let file = entry.map_err(|e| failed(path, e))?.path();
                if file.is_file() {
                    files.push(Named { path: file, in_folder: true });
                }
            }
            if files.len() == before {
                return Err(ReadError::Nothing { path: Some(path.clone()) });
            }
            files[before..].sort_by(|a, b| a.path.cmp(&b.path));
        } else {
            if path.as_os_str() != "-" {
                start(path)?;
            }
            files.push(Named { path: path.clone(), in_folder: false });
        }
    }
    let context = Context { options: options.clone(), tally: Tally::default(), file: 0 };
    Ok(Reader { files, next: 0, current: None, context, number: 0 })
}

/// Reads one capture from anything that gives bytes.
///
/// # Errors
/// As [`open`]; the path in them is `-`.
pub fn from_reader(from: impl io::Read + Send + 'static, options: &ReadOptions) -> Result<Reader, ReadError> {
    let path = PathBuf::from("-");
    let input = Input::new(from).map_err(|e| failed(&path, e))?;
    let started = recognise(input, &path)?;
    let context = Context { options: options.clone(), tally: Tally::default(), file: 0 };
    let mut reader =
        Reader { files: vec![Named { path, in_folder: false }], next: 1, current: None, context, number: 0 };
    match started {
        Some(current) => reader.current = Some(current),
        None => reader.context.skip(Skip::EmptyFile, Place::default()),
    }
    Ok(reader)
}

/// Gives one exchange after another.
pub struct Reader {
    files: Vec<Named>,
    next: usize,
    current: Option<Current>,
    context: Context,
    number: u64,
}

struct Named {
    path: PathBuf,
    in_folder: bool,
}

struct Current {
    input: Input,
    source: Box<dyn Source>,
}

/// What a format's reader needs beside its bytes.
struct Context {
    options: ReadOptions,
    tally: Tally,
    file: u32,
}

impl Context {
    fn skip(&mut self, why: Skip, mut place: Place) {
        place.file = self.file;
        self.tally.skip(why, place);
    }
}

/// A reader of one format.
trait Source: Send {
    /// Fills `into` with the next exchange, its place but for the file and the number; false at the end.
    fn next(&mut self, input: &mut Input, context: &mut Context, into: &mut Exchange) -> io::Result<bool>;
}

impl Reader {
    /// Fills `into` with the next exchange and gives true; false at the end of the last file, `into` is then
    /// blank. Its memory is used again. Torn and foreign parts are counted in [`Self::tally`].
    ///
    /// # Errors
    /// When a file cannot be read further. The next call goes on with the next file.
    pub fn next(&mut self, into: &mut Exchange) -> Result<bool, ReadError> {
        loop {
            if let Some(Current { input, source }) = &mut self.current {
                match source.next(input, &mut self.context, into) {
                    Ok(true) => {
                        self.number += 1;
                        into.place.number = self.number;
                        into.place.file = self.context.file;
                        self.context.tally.take(into);
                        return Ok(true);
                    }
                    Ok(false) => {
                        if input.torn() {
                            let place = Place { offset: input.offset(), ..Place::default() };
                            self.context.skip(Skip::TornGzip, place);
                        }
                        self.current = None;
                    }
                    Err(e) => {
                        self.current = None;
                        return Err(failed(&self.files[self.context.file as usize].path, e));
                    }
                }
            }
            if !self.advance()? {
                into.clear();
                return Ok(false);
            }
        }
    }

    fn advance(&mut self) -> Result<bool, ReadError> {
        let Some(file) = self.files.get(self.next) else { return Ok(false) };
        self.context.file = self.next as u32;
        self.next += 1;
        match start(&file.path) {
            Ok(Some(current)) => self.current = Some(current),
            Ok(None) => self.context.skip(Skip::EmptyFile, Place::default()),
            Err(ReadError::Unknown { .. } | ReadError::NotRead { .. }) if file.in_folder => {
                self.context.skip(Skip::ForeignFile, Place::default());
            }
            Err(e) => return Err(e),
        }
        Ok(true)
    }

    /// What was taken and what was not, so far.
    pub fn tally(&self) -> &Tally {
        &self.context.tally
    }

    /// The files in reading order; [`Place::file`] counts them.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(|f| f.path.as_path())
    }
}

fn failed(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io { path: path.to_owned(), source }
}

/// Opens a file and finds its format; none when it is empty.
fn start(path: &Path) -> Result<Option<Current>, ReadError> {
    recognise(Input::open(path).map_err(|e| failed(path, e))?, path)
}

fn recognise(mut input: Input, path: &Path) -> Result<Option<Current>, ReadError> {
    // Most formats show in the first buffer; only logs need a long look.
    let mut asked = 1 << 10;
    loop {
        let more = input.want(asked).map_err(|e| failed(path, e))?;
        let format = match detect::sniff(input.window(), !more) {
            Sniffed::Read(format) => format,
            Sniffed::Empty => return Ok(None),
            _ if more && asked < SNIFF => {
                asked *= 4;
                continue;
            }
            Sniffed::NotRead(format) => return Err(ReadError::NotRead { path: path.to_owned(), format }),
            Sniffed::Unknown => return Err(ReadError::Unknown { path: path.to_owned() }),
        };
        let source: Box<dyn Source> = match format {
            Format::TapLengthDelimited => Box::new(tap_binary::TapBinary::new(true)),
            Format::TapBinary => Box::new(tap_binary::TapBinary::new(false)),
            Format::TapJson => Box::new(tap_json::TapJson::default()),
            Format::Own => Box::new(own::Own::default()),
            Format::AccessLog => Box::new(access::AccessLog::default()),
        };
        return Ok(Some(Current { input, source }));
    }
}
