//! Names of images: `registry/repository:tag@digest`, as the meshes read them.

use crate::digest::Digest;
use crate::error::{Error, Kind};
use std::fmt;
use std::str::FromStr;

/// The host behind the short names.
const HUB: &str = "index.docker.io";

/// Where Docker Hub's registry really answers.
const HUB_API: &str = "registry-1.docker.io";

/// Longest repository name, characters (distribution specification, "Pulling manifests").
const MAX_REPOSITORY: usize = 255;

/// Longest tag, characters (the same).
const MAX_TAG: usize = 128;

/// An image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host and port as credentials know it, for instance `localhost:5000`; Docker Hub is `index.docker.io`.
    pub registry: String,
    /// Path in the registry.
    pub repository: String,
    /// Tag; none means `latest` to all readers.
    pub tag: Option<String>,
    /// Pinned digest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The tag, `latest` when none is named.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// What to ask the registry for: the digest when there is one, else the tag.
    pub fn target(&self) -> &str {
        self.digest.as_ref().map_or_else(|| self.tag(), Digest::as_str)
    }

    /// Host and port that answers requests.
    pub fn host(&self) -> &str {
        if self.registry == HUB { HUB_API } else { &self.registry }
    }

    /// Without tag and digest.
    pub fn place(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// This image, pinned.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        Self { digest: Some(digest.clone()), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = Error;

    /// Reads a name with or without `oci://` in front. As in Istio and Envoy Gateway a first part without a
    /// dot, a colon and other than `localhost` is a repository on Docker Hub.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            let shown: String =
                text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect();
            Error::new(Kind::BadReference, format!("`{shown}` is no name of an image: {why}"))
                .hint("for instance `oci://registry.example/team/filter:v1`")
        };
        let rest = match text.split_once("://") {
            Some(("oci", rest)) => rest,
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
                return Err(bad("only `oci://` or nothing may stand in front"));
            }
            _ => text,
        };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (rest, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match rest[slash..].split_once(':') {
            // `localhost:5000` alone names no repository.
            Some((name, tag)) => (&rest[..slash + name.len()], Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("a tag has letters, digits, `_`, `.` and `-`, at most 128"));
        }
        let first = path.split('/').next().unwrap_or_default();
        let named = path.contains('/') && (first.contains(['.', ':']) || first == "localhost");
        let (registry, repository) = match named {
            true => (first.to_owned(), path[first.len() + 1..].to_owned()),
            false if path.contains('/') => (HUB.to_owned(), path.to_owned()),
            false => (HUB.to_owned(), format!("library/{path}")),
        };
        let registry = match registry.as_str() {
            "docker.io" | HUB_API => HUB.to_owned(),
            _ => registry,
        };
        if !is_host(&registry) {
            return Err(bad("the registry is a host name or an address, with a port or without"));
        }
        if !is_repository(&repository) {
            return Err(bad(
                "a repository is lower case: letters and digits, `.`, `_`, `-` between them, `/`",
            ));
        }
        Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes.
fn is_repository(name: &str) -> bool {
    let part = |part: &str| {
        let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let mut between = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        part.bytes().next().is_some_and(alnum)
            && part.bytes().next_back().is_some_and(alnum)
            && between.all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
    };
    name.len() <= MAX_REPOSITORY && name.split('/').all(part)
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let v6 = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let name = match v6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let label = |l: &str| {
                !l.is_empty()
                    && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !l.starts_with('-')
            };
            name.split('.').all(label)
        }
    };
    name && port.is_none_or(|p| p.parse::<u16>().is_ok_and(|p| p > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let r: Reference = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        (r.registry.clone(), r.repository.clone(), r.target().to_owned())
    }

    #[test]
    fn names_are_read_as_the_meshes_read_them() {
        let own = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(parts("oci://r.example/team/f:v1"), own("r.example", "team/f", "v1"));
        assert_eq!(parts("localhost:5000/f"), own("localhost:5000", "f", "latest"));
        assert_eq!(parts("[::1]:5000/f:x"), own("[::1]:5000", "f", "x"));
        assert_eq!(parts("team/f:v1"), own("index.docker.io", "team/f", "v1"));
        assert_eq!(parts("f"), own("index.docker.io", "library/f", "latest"));
        assert_eq!(parts("docker.io/team/f"), own("index.docker.io", "team/f", "latest"));
        let digest = Digest::of(b"x");
        assert_eq!(parts(&format!("r.example/f:v1@{digest}")), own("r.example", "f", digest.as_str()));
        let hub: Reference = "f".parse().unwrap();
        assert_eq!(hub.host(), "registry-1.docker.io");
    }

    #[test]
    fn what_a_registry_would_refuse_is_refused_before_any_request_33() {
        let (long_tag, long_name) = ("t".repeat(129), "n".repeat(256));
        for bad in [
            "",
            "/",
            "r.example/",
            "r.example/F",
            "r.example/f:",
            "r.example/f:-x",
            "r.example/a//b",
            "r.example/.a",
            "r.example/a..b",
            "r.example/a___b",
            "https://r.example/f",
            "r.example:0/f",
            "r.example:x/f",
            "r.example/f@sha256:00",
            "r.exa mple/f",
            "r.example/f:v1\n",
            "-r.example/f",
            "user:secret@r.example/f",
            "r.example/f?x=1",
            &format!("r.example/f:{long_tag}"),
            &format!("r.example/{long_name}"),
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
        for good in ["r.example/a__b", "r.example/a---b", "r.example/a.b_c/d-e:V1.2_3-x"] {
            assert_eq!(good.parse::<Reference>().unwrap().to_string(), good);
        }
    }
}
