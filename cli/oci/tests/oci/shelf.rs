//! Images in memory, made by hand: what other people publish.

use std::cell::RefCell;
use std::collections::BTreeMap;
use tamis_oci::{
    Descriptor, Digest, Error, Image, Index, Kind, Layout, Manifest, Platform, Spec, Store, types,
};

/// A filter that a proxy would load.
pub(crate) fn filter() -> Vec<u8> {
    wat::parse_str("(module (memory 1) (func (export \"proxy_abi_version_0_2_1\")))").unwrap()
}

/// A larger one, with a number in it that makes it another.
pub(crate) fn variant(number: u32) -> Vec<u8> {
    let data: String = (0..5_000).map(|n| format!("{n:x}{number}")).collect();
    let text = format!("(module (memory 2) (func (export \"proxy_abi_version_0_2_1\")) (data \"{data}\"))");
    wat::parse_str(text).unwrap()
}

/// Our own image of a module.
pub(crate) fn image(layout: Layout, wasm: &[u8]) -> Image {
    Image::build(&Spec { layout, wasm, annotations: BTreeMap::new(), root_id: String::new() }).unwrap()
}

/// A gzipped archive of these files.
pub(crate) fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut out = tar::Builder::new(gzip);
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // By hand: `./` in front must stay.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        out.append(&header, *bytes).unwrap();
    }
    out.into_inner().unwrap().finish().unwrap()
}

/// A store in memory.
#[derive(Default)]
pub(crate) struct Shelf {
    blobs: RefCell<BTreeMap<Digest, Vec<u8>>>,
    tags: RefCell<BTreeMap<String, Digest>>,
}

impl Shelf {
    /// Keeps bytes.
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        self.blobs.borrow_mut().insert(descriptor.digest.clone(), bytes.to_vec());
        descriptor
    }

    /// A manifest of these parts; a media type of `""` is left out.
    pub(crate) fn manifest(&self, kind: &str, config: &str, layers: &[(&str, &[u8])]) -> Descriptor {
        let layers = layers.iter().map(|(kind, bytes)| self.blob(kind, bytes)).collect();
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(kind.to_owned()).filter(|k| !k.is_empty()),
            artifact_type: None,
            config: self.blob(config, b"{}"),
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        };
        let kind = if kind.is_empty() { types::OCI_MANIFEST } else { kind };
        self.blob(kind, &serde_json::to_vec(&manifest).unwrap())
    }

    /// An index of these children by platform.
    pub(crate) fn index(&self, children: &[(Descriptor, &str)]) -> Descriptor {
        let child = |(descriptor, platform): &(Descriptor, &str)| {
            let platform = platform.split_once('/').map(|(os, architecture)| Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
            });
            Descriptor { platform, ..descriptor.clone() }
        };
        let index = Index {
            schema_version: 2,
            media_type: Some(types::OCI_INDEX.to_owned()),
            manifests: children.iter().map(child).collect(),
            annotations: BTreeMap::new(),
        };
        self.blob(types::OCI_INDEX, &serde_json::to_vec(&index).unwrap())
    }

    /// Names it `t`.
    pub(crate) fn tag(&self, descriptor: &Descriptor) -> &Self {
        self.tags.borrow_mut().insert("t".to_owned(), descriptor.digest.clone());
        self
    }

    /// Puts other bytes behind a digest.
    pub(crate) fn tamper(&self, digest: &Digest, bytes: &[u8]) {
        self.blobs.borrow_mut().insert(digest.clone(), bytes.to_vec());
    }
}

impl Store for Shelf {
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, Option<String>), Error> {
        let digest = reference.parse().ok().or_else(|| self.tags.borrow().get(reference).cloned());
        let blobs = self.blobs.borrow();
        let bytes = digest.and_then(|d| blobs.get(&d).cloned());
        Ok((bytes.ok_or_else(|| Error::new(Kind::NotFound, "not on the shelf"))?, None))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let bytes = self.blobs.borrow().get(&descriptor.digest).cloned().unwrap_or_default();
        if Digest::of(&bytes) != descriptor.digest {
            return Err(Error::new(Kind::Broken, "another digest"));
        }
        Ok(bytes)
    }
}
