//! Manifests and indexes as they are written and read.

use crate::digest::Digest;
use crate::error::{Error, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Media types, by the names that the products' documents use.
pub mod types {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// The empty configuration of artifacts.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// OCI layer, gzipped.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, plain.
    pub const OCI_LAYER_PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer in Zstandard.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzipped.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, plain: as `docker save` writes it.
    pub const DOCKER_LAYER_PLAIN: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Runtime configuration of the solo.io layout.
    pub const SOLO_CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
    /// Raw module of the solo.io layout.
    pub const SOLO_MODULE: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
    /// Configuration of the CNCF layout.
    pub const CNCF_CONFIG: &str = "application/vnd.wasm.config.v0+json";
    /// Raw module of the CNCF layout.
    pub const CNCF_MODULE: &str = "application/wasm";
    /// Raw module as wasm-to-oci and `cosign upload wasm` push it.
    pub const WASM_TO_OCI_MODULE: &str = "application/vnd.wasm.content.layer.v1+wasm";
    /// A signature as cosign 3 attaches it.
    pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
    /// A list of what something is made of.
    pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
    /// All manifests and indexes that are read, as an `Accept` header wants them.
    pub const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
        application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, \
        application/vnd.docker.distribution.manifest.list.v2+json";
}

/// Largest manifest, bytes: what registries must take (distribution specification, "Pushing manifests").
pub(crate) const MAX_MANIFEST: usize = 4 << 20;

/// Points at a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Kind of artifact, in indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Which machines it is for, in indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: None,
            platform: None,
        }
    }
}

/// A platform in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// For instance `linux`.
    pub os: String,
    /// For instance `amd64`.
    pub architecture: String,
}

/// An image manifest. Serialised field by field in this order: the bytes are the identity of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it says it is; readers decide by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Kind of artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Configuration blob.
    pub config: Descriptor,
    /// Layers, the last on top.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// What this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The children.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a tag or digest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Box<Manifest>),
    /// Several, by platform.
    Index(Index),
}

impl Document {
    /// Reads either. The store's media type decides when the document names none.
    ///
    /// # Errors
    /// When it is neither, or larger than 4 MiB.
    pub fn read(bytes: &[u8], said: Option<&str>) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Probe {
            media_type: Option<String>,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
        }
        if bytes.len() > MAX_MANIFEST {
            return Err(Error::new(
                Kind::BadImage,
                format!("the manifest has {} bytes, more than 4 MiB", bytes.len()),
            ));
        }
        let bad = |e: serde_json::Error| Error::new(Kind::BadImage, "the manifest cannot be read").because(e);
        let probe: Probe = serde_json::from_slice(bytes).map_err(bad)?;
        let index = match probe.media_type.as_deref().or(said) {
            Some(types::OCI_INDEX | types::DOCKER_INDEX) => true,
            Some(types::OCI_MANIFEST | types::DOCKER_MANIFEST) => false,
            _ => probe.manifests.is_some(),
        };
        match index {
            true => serde_json::from_slice(bytes).map(Self::Index).map_err(bad),
            false => serde_json::from_slice(bytes).map(|m| Self::Manifest(Box::new(m))).map_err(bad),
        }
    }
}

/// One of our own structures as JSON.
///
/// # Errors
/// Never for the types of this crate; a failure is told, not a panic.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|e| Error::new(Kind::BadImage, "cannot be written as JSON").because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTOR: &str = r#"{"mediaType":"t","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#;

    #[test]
    fn an_index_is_told_from_a_manifest_with_and_without_a_media_type() {
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{DESCRIPTOR}]}}"#);
        assert!(matches!(Document::read(index.as_bytes(), None), Ok(Document::Index(_))));
        let manifest =
            format!(r#"{{"schemaVersion":2,"config":{DESCRIPTOR},"layers":[{DESCRIPTOR}],"new":1}}"#);
        assert!(matches!(Document::read(manifest.as_bytes(), None), Ok(Document::Manifest(_))));
        assert!(matches!(
            Document::read(manifest.as_bytes(), Some(types::OCI_MANIFEST)),
            Ok(Document::Manifest(_))
        ));
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        let huge = vec![b' '; MAX_MANIFEST + 1];
        for bad in [&b""[..], b"[]", b"{}", b"{\"schemaVersion\":2,\"config\":{\"digest\":\"x\"}}", &huge] {
            assert!(Document::read(bad, None).is_err());
        }
    }
}
