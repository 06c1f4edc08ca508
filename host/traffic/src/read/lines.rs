//! Lines of a text file, none of them held above the limit.

use super::input::Input;
use super::limits::MAX_RECORD;
use std::io;

/// What the next line is.
pub(super) enum Line {
    /// A line of `length` bytes at the start of the window; `whole` is its length with the line break, and
    /// `ended` says that there is one.
    Found { length: usize, whole: usize, ended: bool },
    /// A line above the limit lies behind us.
    TooLong,
    /// The end of the file.
    End,
}

/// Brings the next line to the start of the window.
pub(super) fn next(input: &mut Input) -> io::Result<Line> {
    let mut seen = 0;
    loop {
        let window = input.window();
        if let Some(at) = memchr::memchr(b'\n', &window[seen..]) {
            let length = seen + at;
            return Ok(Line::Found { length, whole: length + 1, ended: true });
        }
        seen = window.len();
        if seen > MAX_RECORD {
            drop_line(input)?;
            return Ok(Line::TooLong);
        }
        if !input.more()? {
            let length = input.window().len();
            return Ok(if length == 0 {
                Line::End
            } else {
                Line::Found { length, whole: length, ended: false }
            });
        }
    }
}

fn drop_line(input: &mut Input) -> io::Result<()> {
    loop {
        if let Some(at) = memchr::memchr(b'\n', input.window()) {
            input.consume(at + 1);
            return Ok(());
        }
        input.consume(usize::MAX);
        if !input.more()? {
            return Ok(());
        }
    }
}
