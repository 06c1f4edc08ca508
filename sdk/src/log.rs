//! Lines in the proxy's log.
//!
//! ```
//! tamis_sdk::log::info!("{} rules", 3);
//! ```

use crate::host;
use std::cell::Cell;
use std::fmt::{self, Display, Write as _};
pub use tamis_abi::LogLevel;

/// Most bytes of a line whose memory is kept for the next.
const KEPT: usize = 1024;

thread_local! {
    /// The host's level, as it was in this callback.
    static LEVEL: Cell<Option<LogLevel>> = const { Cell::new(None) };
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// A callback begins: the level may be another one.
pub(crate) fn forget_level() {
    LEVEL.set(None);
}

/// True when the host writes lines of this level. It is asked once in each callback.
pub fn enabled(level: LogLevel) -> bool {
    let known = LEVEL.get().unwrap_or_else(|| {
        let asked = host::log_level();
        LEVEL.set(Some(asked));
        asked
    });
    level >= known
}

/// Writes a line.
pub fn write(level: LogLevel, line: std::fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    match line.as_str() {
        Some(text) => host::log(level, text),
        None => {
            let mut text = LINE.take();
            text.clear();
            // Writing into a string cannot fail.
            let _ = text.write_fmt(line);
            host::log(level, &text);
            if text.capacity() <= KEPT {
                LINE.set(text);
            }
        }
    }
}

/// A line with fields, as one JSON object: for whoever reads logs by machine. Nothing is written, and no value is looked
/// at, when the level is off.
///
/// ```
/// use tamis_sdk::log::{Line, LogLevel};
/// use tamis_sdk::prelude::*;
///
/// fn refused(request: &Request, rule: &str) {
///     // {"message":"refused","exchange":"7b6c…","rule":"admins"}
///     Line::new(LogLevel::Info, "refused").with("exchange", request.id()).with("rule", rule).write();
/// }
/// ```
#[must_use = "a line is written by `write`"]
pub struct Line {
    level: LogLevel,
    /// The object without its closing brace; `None` when the level is off.
    text: Option<String>,
}

impl Line {
    /// A line that begins with a message.
    pub fn new(level: LogLevel, message: &str) -> Self {
        let text = enabled(level).then(|| "{".to_owned());
        Self { level, text }.with("message", message)
    }

    /// One more field, as text. Line breaks and quotes are escaped, so that no client writes lines of its own.
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        if let Some(text) = &mut self.text {
            if text.len() > 1 {
                text.push(',');
            }
            // Writing into a string cannot fail.
            for (part, end) in [(format_args!("{name}"), ':'), (format_args!("{value}"), ' ')] {
                text.push('"');
                let _ = Escaped(text).write_fmt(part);
                text.push('"');
                text.push(end);
            }
            text.pop();
        }
        self
    }

    /// Writes it.
    pub fn write(self) {
        if let Some(text) = self.text {
            host::log(self.level, &(text + "}"));
        }
    }
}

/// Writes a JSON string (RFC 8259 7), piece by piece.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for c in piece.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if c.is_control() => write!(self.0, "\\u{:04x}", u32::from(c))?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// A line at level trace.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($arg:tt)*) => {
        $crate::log::write($crate::log::LogLevel::Trace, ::std::format_args!($($arg)*))
    };
}

/// A line at level debug.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($arg:tt)*) => {
        $crate::log::write($crate::log::LogLevel::Debug, ::std::format_args!($($arg)*))
    };
}

/// A line at level info.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($arg:tt)*) => {
        $crate::log::write($crate::log::LogLevel::Info, ::std::format_args!($($arg)*))
    };
}

/// A line at level warn.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($arg:tt)*) => {
        $crate::log::write($crate::log::LogLevel::Warn, ::std::format_args!($($arg)*))
    };
}

/// A line at level error.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($arg:tt)*) => {
        $crate::log::write($crate::log::LogLevel::Error, ::std::format_args!($($arg)*))
    };
}

/// A line at level critical.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_critical {
    ($($arg:tt)*) => {
        $crate::log::write($crate::log::LogLevel::Critical, ::std::format_args!($($arg)*))
    };
}

pub use {
    crate::__log_critical as critical, crate::__log_debug as debug, crate::__log_error as error,
    crate::__log_info as info, crate::__log_trace as trace, crate::__log_warn as warn,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_line_is_one_object_whatever_the_values_are() {
        testing::clean();
        let odd = "a\"b\\c\r\n\u{7f}\u{e9}";
        Line::new(LogLevel::Warn, "m").with("n", 7).with(odd, odd).write();
        let (level, line) = testing::lines().pop().expect("written");
        assert_eq!(level, LogLevel::Warn);
        assert!(!line.chars().any(char::is_control), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(read, serde_json::json!({ "message": "m", "n": "7", odd: odd }));
    }
}
