//! Addresses as registries give them: absolute, or relative to the request.

use crate::error::{Error, Kind};
use http::Uri;
use std::fmt;
use std::net::IpAddr;

/// An `http` or `https` address. Shown without its query, which may be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    /// Host and port, lower case.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Url {
    pub(crate) fn new(https: bool, authority: &str, path: impl Into<String>) -> Self {
        Self { https, authority: authority.to_ascii_lowercase(), path: path.into() }
    }

    /// Reads an absolute address.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let bad = || Error::new(Kind::Broken, "the registry sends an address that is none");
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        if authority.contains('@') {
            return Err(Error::new(Kind::Unsafe, "the registry sends an address with a login in it"));
        }
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        Ok(Self::new(https, authority, path))
    }

    /// An address as it stands in a `Location` header of an answer from here (RFC 9110 10.2.2, RFC 3986 5.2).
    pub(crate) fn join(&self, location: &str) -> Result<Self, Error> {
        let location = location.trim();
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Self::parse(location);
        }
        let scheme = if self.https { "https" } else { "http" };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let base = self.path.split('?').next().unwrap_or("/");
        let path = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{base}{location}"),
            Some(_) => format!("{}{location}", &base[..=base.rfind('/').unwrap_or(0)]),
            None => return Err(Error::new(Kind::Broken, "the registry sends an empty address")),
        };
        Self::parse(&format!("{scheme}://{}{path}", self.authority))
    }

    /// With one more parameter.
    pub(crate) fn with(&self, key: &str, value: &str) -> Self {
        let sign = if self.path.contains('?') { '&' } else { '?' };
        Self { path: format!("{}{sign}{key}={}", self.path, escape(value)), ..self.clone() }
    }

    /// Scheme, host and port are the same: what a login is for.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.host_port() == other.host_port()
    }

    /// Without the port.
    pub(crate) fn host(&self) -> &str {
        self.host_port().0
    }

    fn host_port(&self) -> (&str, u16) {
        let default = if self.https { 443 } else { 80 };
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(default)),
            _ => (&self.authority, default),
        }
    }

    /// True when the host is this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|a| a.is_loopback())
    }

    /// Whole, for sending.
    pub(crate) fn full(&self) -> String {
        format!("{}://{}{}", if self.https { "https" } else { "http" }, self.authority, self.path)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.full();
        f.write_str(full.split('?').next().unwrap_or_default())
    }
}

/// Percent-encoding of all but unreserved characters (RFC 3986 2.3).
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_of_all_forms_21() {
        let base = Url::parse("https://r.example/v2/f/blobs/uploads/?x=1").unwrap();
        let join = |l: &str| base.join(l).map(|u| u.full());
        assert_eq!(join("/v2/u/1?s=a%2Fb"), Ok("https://r.example/v2/u/1?s=a%2Fb".into()));
        assert_eq!(join("https://s.example/u?s=1"), Ok("https://s.example/u?s=1".into()));
        assert_eq!(join("//s.example/u"), Ok("https://s.example/u".into()));
        assert_eq!(join("1"), Ok("https://r.example/v2/f/blobs/uploads/1".into()));
        assert_eq!(join("?y=2"), Ok("https://r.example/v2/f/blobs/uploads/?y=2".into()));
        for bad in ["", "ftp://x/", "https://", "http://a b/", "javascript://x"] {
            assert!(join(bad).is_err(), "{bad}");
        }
        assert_eq!(join("https://me:pw@r.example/").unwrap_err().kind, Kind::Unsafe);
        let with = base.join("/u?s=1").unwrap().with("digest", "sha256:0a");
        assert_eq!(with.full(), "https://r.example/u?s=1&digest=sha256%3A0a");
        assert_eq!(with.to_string(), "https://r.example/u");
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().same_origin(&Url::parse(b).unwrap());
        assert!(same("https://R.example/x", "https://r.example:443/y"));
        for other in
            ["http://r.example/", "https://r.example:444/", "https://r.example.evil/", "https://s.example/"]
        {
            assert!(!same("https://r.example/", other), "{other}");
        }
    }

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        let local = |t: &str| Url::parse(t).unwrap().is_loopback();
        for yes in
            ["http://localhost:5000/", "http://127.0.0.2/", "http://[::1]:5000/", "http://a.localhost/"]
        {
            assert!(local(yes), "{yes}");
        }
        for no in ["http://10.0.0.1/", "http://localhost.example/", "http://127.0.0.1.example/"] {
            assert!(!local(no), "{no}");
        }
    }
}
