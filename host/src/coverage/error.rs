//! Why coverage cannot be taken.

use std::fmt;
use tamis_traffic::redact::show;

/// Coverage cannot be taken of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoverageError {
    /// It is no module that can be read.
    Module {
        /// Why.
        text: String,
    },
    /// It has no DWARF line tables.
    NoDebugInfo,
    /// Its DWARF cannot be read.
    Dwarf {
        /// Why.
        text: String,
    },
    /// No line in it comes from the sources asked for.
    NoOwnSources {
        /// A source file that it does have, if any.
        seen: Option<String>,
    },
    /// It would take more counters than a module may have.
    TooMuch {
        /// How many.
        counters: usize,
        /// The most that are built in.
        limit: usize,
    },
}

impl fmt::Display for CoverageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module { text } => write!(f, "cannot read the module: {text}"),
            Self::NoDebugInfo => {
                f.write_str("the module has no debug information, so its lines are not known")
            }
            Self::Dwarf { text } => write!(f, "cannot read the debug information: {text}"),
            Self::NoOwnSources { seen: None } => {
                f.write_str("no line of the module comes from the filter's own sources")
            }
            Self::NoOwnSources { seen: Some(file) } => {
                write!(
                    f,
                    "no line of the module comes from the filter's own sources, but for instance from `{}`",
                    show(file.as_bytes())
                )
            }
            Self::TooMuch { counters, limit } => {
                write!(f, "the sources need {counters} counters, more than the {limit} that are built in")
            }
        }
    }
}

impl std::error::Error for CoverageError {}

impl From<wasmparser::BinaryReaderError> for CoverageError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Module { text: crate::engine::joined(&error.to_string()) }
    }
}

impl From<gimli::Error> for CoverageError {
    fn from(error: gimli::Error) -> Self {
        Self::Dwarf { text: error.to_string() }
    }
}
