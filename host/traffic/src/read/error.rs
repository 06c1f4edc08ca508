//! Why a capture cannot be read at all. Parts that cannot be read are counted instead, see [`crate::Tally`].

use super::detect::Known;
use std::path::{Path, PathBuf};
use std::{error, fmt, io};

/// A capture cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be opened or read.
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A format that is known but not read.
    NotRead {
        /// Which file.
        path: PathBuf,
        /// Which format it is in.
        format: Known,
    },
    /// No known format.
    Unknown {
        /// Which file.
        path: PathBuf,
    },
    /// No file was given, or a folder holds none.
    Nothing {
        /// The folder; none when nothing was given.
        path: Option<PathBuf>,
    },
}

impl ReadError {
    /// What would make it work.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check the path and its permissions",
            Self::NotRead { format, .. } => format.instead(),
            Self::Unknown { .. } => {
                "readable are Envoy tap files (JSON, binary), Istio's JSON access log and tamis's own JSON lines"
            }
            Self::Nothing { .. } => "name a capture file, a folder of tap files, or `-` for standard input",
        }
    }

    /// The file concerned, if one is.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::NotRead { path, .. } | Self::Unknown { path } => Some(path),
            Self::Nothing { path } => path.as_deref(),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "cannot read capture `{}`", path.display()),
            Self::NotRead { path, format } => {
                write!(f, "capture `{}` is {format}, which is not read yet", path.display())
            }
            Self::Unknown { path } => write!(f, "capture `{}` has no format known here", path.display()),
            Self::Nothing { path: Some(path) } => write!(f, "no capture in folder `{}`", path.display()),
            Self::Nothing { path: None } => f.write_str("no capture given"),
        }
    }
}

impl error::Error for ReadError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
