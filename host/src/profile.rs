//! Host profiles: what differs between hosts and versions, as data.

use std::fmt;
use std::time::Duration;

/// The rules and limits of one real host. The default is Envoy 1.40 with default settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    name: &'static str,
    version: &'static str,
    minor: u8,
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
}

/// First minor versions of Envoy 1 that have what older ones do not (docs/envoy.md 2.14).
pub(crate) mod since {
    /// The filter setting `allow_on_headers_stop_iteration`. An Envoy that does not know it refuses the configuration,
    /// and so does a stage.
    pub(crate) const HEADERS_STOP_SETTING: u8 = 35;
    /// The client of a filter whose VM broke in a request callback gets an answer.
    pub(crate) const ANSWERS_FAILURE: u8 = 35;
    /// The foreign function `sign`.
    pub(crate) const SIGN: u8 = 37;
    /// `verify_signature` takes a key in PEM, and exactly one key.
    pub(crate) const PEM: u8 = 37;
    /// Foreign functions act on the effective context and not on the current one.
    pub(crate) const EFFECTIVE_CONTEXT: u8 = 37;
    /// `request.headers_bytes` and `response.headers_bytes`.
    pub(crate) const HEADERS_BYTES: u8 = 37;
    /// 45 functions of WASI; before there were 18. `poll_oneoff` succeeds.
    pub(crate) const ALL_OF_WASI: u8 = 39;
}

/// The versions of Envoy that this host follows, oldest first: name, version, minor version.
const VERSIONS: [(&str, &str, u8); 8] = [
    ("envoy-1.33", "1.33", 33),
    ("envoy-1.34", "1.34", 34),
    ("envoy-1.35", "1.35", 35),
    ("envoy-1.36", "1.36", 36),
    ("envoy-1.37", "1.37", 37),
    ("envoy-1.38", "1.38", 38),
    ("envoy-1.39", "1.39", 39),
    NEWEST,
];

/// The version that every rule of this host was measured on.
const NEWEST: (&str, &str, u8) = ("envoy-1.40", "1.40", 40);

const fn of((name, version, minor): (&'static str, &'static str, u8)) -> Profile {
    Profile {
        name,
        version,
        minor,
        buffer_limit: 1 << 20,
        memory_limit: 1 << 30,
        callout_response_limit: 32 << 20,
        stream_idle_timeout: Duration::from_secs(300),
        reload_backoff: Duration::from_secs(1),
    }
}

impl Profile {
    /// Envoy 1.40 with default settings: the profile that every rule of this host was measured on.
    pub const fn envoy_1_40() -> Self {
        of(NEWEST)
    }

    /// The names that [`Profile::parse`] takes, oldest first. Tests compare the newest with a real Envoy; the older
    /// ones differ from it by what was measured once, or what their change logs say (docs/envoy.md 2.14).
    pub fn names() -> impl Iterator<Item = &'static str> {
        VERSIONS.iter().map(|version| version.0)
    }

    /// The profile of this name.
    ///
    /// # Errors
    /// When there is none; the error names those that there are.
    pub fn parse(name: &str) -> Result<Self, UnknownProfile> {
        let version = VERSIONS.iter().find(|version| version.0 == name);
        version.copied().map(of).ok_or_else(|| UnknownProfile { name: name.to_owned() })
    }

    /// True from this minor version on, see [`since`].
    pub(crate) const fn has(&self, minor: u8) -> bool {
        self.minor >= minor
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
        let names: Vec<&str> = Profile::names().collect();
        write!(f, "unknown host profile `{}` (supported: {})", self.name, names.join(", "))
    }
}

impl std::error::Error for UnknownProfile {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_name_parses_to_itself_and_others_are_told_what_there_is() {
        for name in Profile::names() {
            assert_eq!(Profile::parse(name).unwrap().name(), name);
        }
        for name in ["envoy-1.32", "envoy", "", "nginx"] {
            let error = Profile::parse(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("unknown host profile `{name}` (supported: envoy-1.33, ")));
            assert!(error.ends_with("envoy-1.39, envoy-1.40)"));
        }
        assert_eq!(Profile::parse("envoy-1.40").unwrap(), Profile::default());
    }
}
