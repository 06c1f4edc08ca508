//! What is attached to an image: a manifest with one layer that names the image as its subject.

use crate::Store;
use crate::digest::Digest;
use crate::error::{Error, Kind};
use crate::image::Blob;
use crate::manifest::{Descriptor, Document, Manifest, json, types};
use crate::remote::{Registry, referrers};
use std::collections::BTreeMap;

/// Most things attached to an image that are looked at: anybody who may push can add some.
pub(crate) const MAX_ATTACHED: usize = 100;

/// An artifact about an image (image specification 1.1, "Guidelines for Artifact Usage").
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What it is about.
    pub(crate) subject: Digest,
    /// Its manifest, as bytes.
    pub(crate) manifest: Blob,
    /// The empty configuration and the content.
    pub(crate) blobs: [Blob; 2],
    /// As a list of referrers has it.
    pub(crate) listed: Descriptor,
}

impl Artifact {
    /// Content of a media type, about an image.
    ///
    /// # Errors
    /// Never for what this crate makes; a failure is told, not a panic.
    pub fn new(
        subject: Descriptor,
        media_type: &str,
        content: Vec<u8>,
        annotations: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let blobs = [Blob::new(types::OCI_EMPTY, b"{}".to_vec()), Blob::new(media_type, content)];
        let digest = subject.digest.clone();
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(types::OCI_MANIFEST.to_owned()),
            artifact_type: Some(media_type.to_owned()),
            config: blobs[0].descriptor.clone(),
            layers: vec![blobs[1].descriptor.clone()],
            subject: Some(subject),
            annotations: annotations.clone(),
        };
        let manifest = Blob::new(types::OCI_MANIFEST, json(&manifest)?);
        let listed = Descriptor {
            artifact_type: Some(media_type.to_owned()),
            annotations: Some(annotations).filter(|a| !a.is_empty()),
            ..manifest.descriptor.clone()
        };
        Ok(Self { subject: digest, manifest, blobs, listed })
    }

    /// What is attached.
    pub fn content(&self) -> &[u8] {
        &self.blobs[1].bytes
    }

    /// Of its manifest.
    pub fn digest(&self) -> &Digest {
        &self.manifest.descriptor.digest
    }
}

/// Something that is attached to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// What it is, a media type.
    pub kind: String,
    /// Of its manifest.
    pub digest: Digest,
}

/// What is attached to an image, the first hundred, in the registry's order.
///
/// # Errors
/// When the registry does not say; an image without any has an empty list.
pub fn attached(registry: &Registry<'_>, digest: &Digest) -> Result<Vec<Attached>, Error> {
    let mut all = Vec::new();
    for descriptor in referrers(registry, digest)?.into_iter().take(MAX_ATTACHED) {
        let kind = match &descriptor.artifact_type {
            Some(kind) if kind != types::OCI_EMPTY => kind.clone(),
            // Some registries and old clients list the type of the empty configuration, or none.
            _ => kind(registry, &descriptor)?,
        };
        all.push(Attached { kind, digest: descriptor.digest });
    }
    Ok(all)
}

/// What an artifact's manifest says that it is (image specification 1.1, "Guidelines for Artifact Usage").
fn kind(store: &dyn Store, descriptor: &Descriptor) -> Result<String, Error> {
    let Some(manifest) = manifest(store, &descriptor.digest)? else { return Ok("an index".to_owned()) };
    let first = manifest.layers.into_iter().next().map(|l| l.media_type);
    Ok(manifest.artifact_type.or(first).unwrap_or(manifest.config.media_type))
}

fn manifest(store: &dyn Store, digest: &Digest) -> Result<Option<Manifest>, Error> {
    let (bytes, said) = store.manifest(digest.as_str())?;
    match Document::read(&bytes, said.as_deref())? {
        Document::Manifest(manifest) => Ok(Some(*manifest)),
        Document::Index(_) => Ok(None),
    }
}

/// The first layer of this type in what is attached, of at most `limit` bytes; none when it holds something else.
pub(crate) fn content(
    store: &dyn Store,
    digest: &Digest,
    fits: impl Fn(&str) -> bool,
    limit: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(manifest) = manifest(store, digest)? else { return Ok(None) };
    let Some(layer) = manifest.layers.iter().find(|l| fits(&l.media_type)) else { return Ok(None) };
    if layer.size > limit {
        let text = format!("what is attached as {digest} has {} bytes; {limit} are read", layer.size);
        return Err(Error::new(Kind::BadImage, text));
    }
    store.blob(layer).map(Some)
}
