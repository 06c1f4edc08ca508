//! Where a filter's code comes from, and whose digest that tells.

use super::message::{Code, Plugin};
use crate::digest::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where the code of a filter comes from, as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on the proxy's disk.
    File(String),
    /// An address.
    Remote(String),
    /// The configuration itself.
    Inline,
    /// Another way.
    Other,
}

/// A digest that the configuration tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of what.
    pub of: Of,
    /// Which.
    pub digest: Digest,
    /// How it is known.
    pub by: &'static str,
}

/// What a digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The image's manifest.
    Image,
    /// The raw module.
    Module,
    /// One of both: the agent names files after what it compared.
    Either,
}

/// The source of a plugin's code, and what its configuration tells of digests.
pub(super) fn of(plugin: &Plugin) -> (Source, Vec<Claim>) {
    let code = plugin.vm_config.as_ref().and_then(|vm| vm.code.as_ref());
    let Some(Code { local, remote }) = code else { return (Source::Other, Vec::new()) };
    if let Some(remote) = remote {
        let address = remote.http_uri.as_ref().map(|uri| uri.uri.clone()).unwrap_or_default();
        let of = if address.starts_with("oci://") { Of::Image } else { Of::Module };
        let claim = hex(&remote.sha256).map(|digest| Claim { of, digest, by: "what it compares" });
        return (Source::Remote(address), claim.into_iter().collect());
    }
    let Some(local) = local else { return (Source::Other, Vec::new()) };
    if let Some(path) = &local.filename {
        let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".wasm")).unwrap_or_default();
        let claim = hex(name).map(|digest| Claim { of: Of::Either, digest, by: "the name of its file" });
        return (Source::File(path.clone()), claim.into_iter().collect());
    }
    let bytes = match (&local.inline_bytes, &local.inline_string) {
        (Some(text), _) => STANDARD.decode(text).ok(),
        (None, Some(text)) => Some(text.clone().into_bytes()),
        (None, None) => return (Source::Other, Vec::new()),
    };
    let claim =
        bytes.map(|b| Claim { of: Of::Module, digest: Digest::of(&b), by: "the bytes in its configuration" });
    (Source::Inline, claim.into_iter().collect())
}

/// Sixty-four digits, or nothing.
pub(super) fn hex(digits: &str) -> Option<Digest> {
    format!("sha256:{digits}").parse().ok()
}
