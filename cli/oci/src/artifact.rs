//! What is attached to an image: a manifest with one layer that names the image as its subject.

use crate::digest::Digest;
use crate::error::Error;
use crate::image::Blob;
use crate::manifest::{Descriptor, Manifest, json, types};
use std::collections::BTreeMap;

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
