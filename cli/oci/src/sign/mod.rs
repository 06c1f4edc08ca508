//! Signatures of images with a key of one's own, as cosign 3 attaches them: a bundle that refers to the image.
//!
//! A signature says that whoever has the key signed this digest, and nothing about when: no log is asked or told.
//! The proxies ask for no signature; `verify` is for pipelines and audits.

mod bundle;
pub mod cosign;
mod key;

pub use key::{PrivateKey, PublicKey};

use crate::artifact::Artifact;
use crate::error::{Error, Kind};
use crate::manifest::{Descriptor, Document, types};
use crate::remote::{Registry, attach, referrers, tag_of};
use crate::{Digest, Store};

/// Largest bundle that is read, bytes: one with certificates and a log's proof has about 10 KiB.
const MAX_BUNDLE: u64 = 1 << 20;

/// Most signatures of an image that are looked at: anybody who may push can add some.
const MAX_SIGNATURES: usize = 100;

/// What came of signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// A signature was attached; the digest of its manifest.
    New(Digest),
    /// The key had signed this image before.
    Already,
}

/// Signs what a tag or digest names: an image, or an index as a whole. The same key makes the same signature again.
///
/// # Errors
/// When there is no such image, or the registry does not take the signature or does not list it afterwards.
pub fn sign(registry: &Registry<'_>, target: &str, key: &PrivateKey) -> Result<(Digest, Signed), Error> {
    let subject = subject(registry, target)?;
    let digest = subject.digest.clone();
    match verify(registry, &digest, &key.public()) {
        Ok(_) => return Ok((digest, Signed::Already)),
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

/// Looks for a signature of this digest by this key; gives how many there are.
///
/// # Errors
/// [`Kind::NotSigned`] when nothing is attached, [`Kind::BadSignature`] when nothing that is attached is a signature
/// by this key. A registry that does not answer is an error of its own: nothing is known then.
pub fn verify(registry: &Registry<'_>, digest: &Digest, key: &PublicKey) -> Result<usize, Error> {
    let name = format!("{}@{digest}", registry.repository);
    let mut good = 0;
    let mut reasons = Vec::new();
    for descriptor in referrers(registry, digest)?.iter().filter(|d| may_hold(d)).take(MAX_SIGNATURES) {
        let outcome = match read(registry, descriptor) {
            Ok(None) => continue,
            Ok(Some(bytes)) => bundle::check(&bytes, digest, key),
            // Wrong bytes are a fact about the signature; a registry that does not answer is not.
            Err(e) if matches!(e.kind, Kind::Broken | Kind::BadImage | Kind::NotFound) => Err(e.to_string()),
            Err(e) => return Err(e),
        };
        match outcome {
            Ok(()) => good += 1,
            Err(why) => reasons.push(why),
        }
    }
    if good > 0 {
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

/// The bundle in what refers to an image; none when it holds something else.
fn read(registry: &Registry<'_>, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, Error> {
    let (bytes, said) = registry.manifest(descriptor.digest.as_str())?;
    let Document::Manifest(manifest) = Document::read(&bytes, said.as_deref())? else { return Ok(None) };
    let Some(layer) = manifest.layers.iter().find(|l| is_bundle(&l.media_type)) else { return Ok(None) };
    if layer.size > MAX_BUNDLE {
        let text = format!("a signature has {} bytes; {MAX_BUNDLE} are read", layer.size);
        return Err(Error::new(Kind::BadImage, text));
    }
    registry.blob(layer).map(Some)
}
