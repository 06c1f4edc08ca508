//! Host profiles: what differs between hosts and versions, as data.

use std::fmt;
use std::time::Duration;

/// The rules and limits of one real host. The default is Envoy 1.40 with default settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    name: &'static str,
    version: &'static str,
    /// `per_connection_buffer_limit_bytes`: most body bytes that are held back for a filter, in bytes
    /// (1 MiB). A longer held request body is answered with 413 (docs/envoy.md 2.3).
    pub buffer_limit: u64,
    /// Most linear memory of one VM, in bytes (1 GiB). Growth beyond it fails (docs/envoy.md 2.12).
    pub memory_limit: u64,
    /// `http.async_response_buffer_limit`: longest answer to a callout, in bytes (32 MiB). A longer one
    /// arrives as a reset (docs/envoy.md 2.6).
    pub callout_response_limit: u64,
    /// `stream_idle_timeout` (5 minutes): a paused stream that nothing wakes gets 504 (docs/envoy.md 2.3).
    pub stream_idle_timeout: Duration,
    /// Least time between two loads under `FAIL_RELOAD` (1 s; Envoy adds jitter, a replay does not) (docs/envoy.md 2.12).
    pub reload_backoff: Duration,
    /// Foreign functions act on the effective context and not on the current one (since 1.37, docs/envoy.md 2.10).
    pub foreign_functions_use_effective_context: bool,
    /// What the property `request.protocol` and friends cannot tell is the same for all: bare attributes
    /// such as `cluster_name` are gone (since 1.33, docs/envoy.md 2.9).
    pub bare_attributes: bool,
}

/// Names that [`Profile::parse`] takes.
const SUPPORTED: &[&str] = &["envoy-1.40"];

impl Profile {
    /// Envoy 1.40 with default settings: the profile that every rule of this host was measured on.
    pub const fn envoy_1_40() -> Self {
        Self {
            name: "envoy-1.40",
            version: "1.40",
            buffer_limit: 1 << 20,
            memory_limit: 1 << 30,
            callout_response_limit: 32 << 20,
            stream_idle_timeout: Duration::from_secs(300),
            reload_backoff: Duration::from_secs(1),
            foreign_functions_use_effective_context: true,
            bare_attributes: false,
        }
    }

    /// The profile of this name.
    ///
    /// # Errors
    /// When there is none; the error names those that there are.
    pub fn parse(name: &str) -> Result<Self, UnknownProfile> {
        match name {
            "envoy-1.40" => Ok(Self::envoy_1_40()),
            _ => Err(UnknownProfile { name: name.to_owned() }),
        }
    }

    /// Its name, as [`Profile::parse`] takes it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The host's version.
    pub const fn version(&self) -> &'static str {
        self.version
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::envoy_1_40()
    }
}

/// No profile has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProfile {
    name: String,
}

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown host profile `{}` (supported: {})", self.name, SUPPORTED.join(", "))
    }
}

impl std::error::Error for UnknownProfile {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_name_parses_to_itself_and_others_are_told_what_there_is() {
        for name in SUPPORTED {
            assert_eq!(Profile::parse(name).unwrap().name(), *name);
        }
        for name in ["envoy-1.39", "envoy", "", "nginx"] {
            let error = Profile::parse(name).unwrap_err().to_string();
            assert_eq!(error, format!("unknown host profile `{name}` (supported: envoy-1.40)"));
        }
    }
}
