//! Lines in the proxy's log.
//!
//! ```
//! tamis_sdk::log::info!("{} rules", 3);
//! ```

use crate::host;
pub use tamis_abi::LogLevel;

/// True when the host writes lines of this level.
pub fn enabled(level: LogLevel) -> bool {
    level >= host::log_level()
}

/// Writes a line.
pub fn write(level: LogLevel, line: std::fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    match line.as_str() {
        Some(text) => host::log(level, text),
        None => host::log(level, &line.to_string()),
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
