//! Signatures of images with a key of one's own, as cosign 3 attaches them: a bundle that refers to the image.
//!
//! A signature says that whoever has the key signed this digest, and nothing about when: no log is asked or told.
//! The proxies ask for no signature; `verify` is for pipelines and audits.

mod bundle;
pub mod cosign;
mod key;

pub use bundle::check;
pub use key::{PrivateKey, PublicKey};

use crate::artifact::{Artifact, MAX_ATTACHED, content};
use crate::error::{Error, Kind};
use crate::manifest::{Descriptor, Document, types};
use crate::remote::{Registry, attach, referrers, tag_of};
use crate::{Digest, Store};

/// Largest bundle that is read, bytes: one with certificates and a log's proof has about 10 KiB.
const MAX_BUNDLE: u64 = 1 << 20;

/// What came of signing; each with the digest of the signature's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// A signature was attached.
    New(Digest),
    /// The key had signed this image before.
    Already(Digest),
}

/// Signs what a tag or digest names: an image, or an index as a whole. The same key makes the same signature again.
///
/// # Errors
/// When there is no such image, or the registry does not take the signature or does not list it afterwards.
pub fn sign(registry: &Registry<'_>, target: &str, key: &PrivateKey) -> Result<(Digest, Signed), Error> {
    let subject = subject(registry, target)?;
    let digest = subject.digest.clone();
    match verify(registry, &digest, &key.public()) {
        Ok(mut known) => return Ok((digest, Signed::Already(known.swap_remove(0)))),
        Err(e) if matches!(e.kind, Kind::NotSigned | Kind::BadSignature) => {}
        Err(e) => return Err(e),
    }
    let made = signature(subject, key)?;
    attach(registry, &made)?;
    verify(registry, &digest, &key.public())?;
    Ok((digest, Signed::New(made.digest().clone())))
}

/// The signature of an image, ready to be attached. cosign adds the time; without it the same again is the same.
///
/// # Errors
/// Never for what this crate makes; a failure is told, not a panic.
pub fn signature(subject: Descriptor, key: &PrivateKey) -> Result<Artifact, Error> {
    let content = bundle::make(&subject.digest, key)?;
    let annotations = [
        ("dev.sigstore.bundle.content".to_owned(), "dsse-envelope".to_owned()),
        ("dev.sigstore.bundle.predicateType".to_owned(), bundle::PREDICATE.to_owned()),
    ];
    Artifact::new(subject, types::SIGSTORE_BUNDLE, content, annotations.into())
}

/// The descriptor of what a tag or digest names.
///
/// # Errors
/// When there is none, or the registry does not give it.
pub fn subject(registry: &Registry<'_>, target: &str) -> Result<Descriptor, Error> {
    let (bytes, said) = registry.manifest(target)?;
    let kind = match Document::read(&bytes, said.as_deref())? {
        Document::Manifest(manifest) => manifest.media_type.or(said),
        Document::Index(index) => index.media_type.or(said),
    };
    Ok(Descriptor::of(kind.as_deref().unwrap_or(types::OCI_MANIFEST), &bytes))
}

/// Looks for signatures of this digest by this key; gives the digests of their manifests, at least one.
///
/// # Errors
/// [`Kind::NotSigned`] when nothing is attached, [`Kind::BadSignature`] when nothing that is attached is a signature
/// by this key. A registry that does not answer is an error of its own: nothing is known then.
pub fn verify(registry: &Registry<'_>, digest: &Digest, key: &PublicKey) -> Result<Vec<Digest>, Error> {
    let name = format!("{}@{digest}", registry.repository);
    let mut good = Vec::new();
    let mut reasons = Vec::new();
    for descriptor in referrers(registry, digest)?.into_iter().filter(may_hold).take(MAX_ATTACHED) {
        let outcome = match content(registry, &descriptor.digest, is_bundle, MAX_BUNDLE) {
            Ok(None) => continue,
            Ok(Some(bytes)) => bundle::check(&bytes, digest, key),
            // Wrong bytes are a fact about the signature; a registry that does not answer is not.
            Err(e) if matches!(e.kind, Kind::Broken | Kind::BadImage | Kind::NotFound) => Err(e.to_string()),
            Err(e) => return Err(e),
        };
        match outcome {
            Ok(()) => good.push(descriptor.digest),
            Err(why) => reasons.push(why),
        }
    }
    if !good.is_empty() {
        return Ok(good);
    }
    if reasons.is_empty() {
        let error = Error::new(Kind::NotSigned, format!("nobody signed {name}"));
        let old = format!("{}.sig", tag_of(digest));
        return Err(match registry.resolve(&old, crate::remote::Want::Pull)? {
            Some(_) => {
                error.hint(format!("`{old}` holds a signature as cosign 2 made them, which is not read"))
            }
            None => error.hint(format!("sign it with `tamis sign {name} --key FILE`")),
        });
    }
    reasons.sort_unstable();
    reasons.dedup();
    Err(Error::new(Kind::BadSignature, format!("no signature of {name} is by this key"))
        .because(reasons.join("; "))
        .hint(format!("the key is {}", key.hint())))
}

/// Some registries and old clients list the type of the empty configuration, or none.
fn may_hold(descriptor: &Descriptor) -> bool {
    let kind = descriptor.artifact_type.as_deref();
    kind.is_none_or(|k| k == types::OCI_EMPTY || is_bundle(k))
}

fn is_bundle(kind: &str) -> bool {
    kind.starts_with("application/vnd.dev.sigstore.bundle")
}
