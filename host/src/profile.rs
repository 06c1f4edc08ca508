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
    /// The foreign function `sign` exists (since 1.37, docs/envoy.md 2.10).
    pub sign: bool,
    /// The filter setting `allow_on_headers_stop_iteration` exists (since 1.35, docs/envoy.md 2.3). An Envoy that does
    /// not know it refuses the configuration, and so does a stage.
    pub headers_stop_setting: bool,
}

/// What differs between the versions of Envoy that this host follows (docs/envoy.md 2.14), oldest first.
const VERSIONS: [Version; 8] = [
    Version { name: "envoy-1.33", version: "1.33", headers_stop: false, sign: false, effective: false },
    Version { name: "envoy-1.34", version: "1.34", headers_stop: false, sign: false, effective: false },
    Version { name: "envoy-1.35", version: "1.35", headers_stop: true, sign: false, effective: false },
    Version { name: "envoy-1.36", version: "1.36", headers_stop: true, sign: false, effective: false },
    Version { name: "envoy-1.37", version: "1.37", headers_stop: true, sign: true, effective: true },
    Version { name: "envoy-1.38", version: "1.38", headers_stop: true, sign: true, effective: true },
    Version { name: "envoy-1.39", version: "1.39", headers_stop: true, sign: true, effective: true },
    NEWEST,
];

/// The version that every rule of this host was measured on.
const NEWEST: Version =
    Version { name: "envoy-1.40", version: "1.40", headers_stop: true, sign: true, effective: true };

struct Version {
    name: &'static str,
    version: &'static str,
    headers_stop: bool,
    sign: bool,
    effective: bool,
}

impl Version {
    const fn profile(&self) -> Profile {
        Profile {
            name: self.name,
            version: self.version,
            buffer_limit: 1 << 20,
            memory_limit: 1 << 30,
            callout_response_limit: 32 << 20,
            stream_idle_timeout: Duration::from_secs(300),
            reload_backoff: Duration::from_secs(1),
            foreign_functions_use_effective_context: self.effective,
            sign: self.sign,
            headers_stop_setting: self.headers_stop,
        }
    }
}

impl Profile {
    /// Envoy 1.40 with default settings: the profile that every rule of this host was measured on.
    pub const fn envoy_1_40() -> Self {
        NEWEST.profile()
    }

    /// The names that [`Profile::parse`] takes, oldest first. Only the newest is compared with a real Envoy; the older
    /// ones differ from it by what their change logs say (docs/envoy.md 2.14).
    pub fn names() -> impl Iterator<Item = &'static str> {
        VERSIONS.iter().map(|version| version.name)
    }

    /// The profile of this name.
    ///
    /// # Errors
    /// When there is none; the error names those that there are.
    pub fn parse(name: &str) -> Result<Self, UnknownProfile> {
        let version = VERSIONS.iter().find(|version| version.name == name);
        version.map(Version::profile).ok_or_else(|| UnknownProfile { name: name.to_owned() })
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

    #[test]
    fn envoy_2_14_each_difference_begins_with_its_version() {
        let first = |has: fn(&Profile) -> bool| {
            Profile::names().map(|name| Profile::parse(name).unwrap()).find(has).unwrap().version()
        };
        assert_eq!(first(|p| p.headers_stop_setting), "1.35");
        assert_eq!(first(|p| p.sign), "1.37");
        assert_eq!(first(|p| p.foreign_functions_use_effective_context), "1.37");
    }
}
