//! Reading anybody's image: which manifest is meant, what its layers hold, and where the module is.

use crate::digest::Digest;
use crate::error::{Error, Kind};
use crate::manifest::{Descriptor, Document, Index, Manifest, types};
use crate::tarball::{self, Archive, Opened, Packing};
use crate::{MAX_MODULE, Store};

/// Room for headers and padding of an archive around the largest module, bytes.
pub(crate) const TAR_ROOM: u64 = 1 << 20;

/// An image as it lies in a store.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Digest of what the reference names: a manifest's or an index's.
    pub digest: Digest,
    /// True when the reference pins a digest.
    pub pinned: bool,
    /// The index, when the reference names one.
    pub index: Option<Index>,
    /// The manifest; none when the index has no child for `linux/amd64`.
    pub child: Option<Child>,
}

/// The manifest that readers take.
#[derive(Debug, Clone)]
pub struct Child {
    /// Of its bytes.
    pub digest: Digest,
    /// As read.
    pub manifest: Manifest,
    /// Its layers, in order.
    pub layers: Vec<Layer>,
}

/// A layer and what was seen in it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// As the manifest names it.
    pub descriptor: Descriptor,
    /// What it holds.
    pub look: Look,
}

/// What a layer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// An archive.
    Archive(Archive),
    /// A raw module.
    Raw(Vec<u8>),
    /// Not read: its type holds no module for any reader.
    Skipped,
    /// Larger than any mesh takes.
    TooLarge,
    /// Not what its type or its digest says.
    Broken(String),
}

impl Look {
    /// The module in it.
    pub fn wasm(&self) -> Option<&[u8]> {
        match self {
            Look::Archive(archive) => archive.plugin.as_deref(),
            Look::Raw(wasm) => Some(wasm),
            _ => None,
        }
    }
}

/// How an image is laid out, as far as it is one of the known ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// OCI image with `plugin.wasm` in the last layer.
    Compat,
    /// Docker image of the same.
    Docker,
    /// solo.io's two layers.
    Solo,
    /// One `application/wasm` layer.
    Cncf,
    /// One layer as wasm-to-oci pushes it.
    WasmToOci,
    /// A module somewhere, in a way that no reader expects.
    Other,
}

impl Shape {
    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Shape::Compat => "compat",
            Shape::Docker => "docker",
            Shape::Solo => "solo",
            Shape::Cncf => "cncf",
            Shape::WasmToOci => "wasm-to-oci",
            Shape::Other => "unknown",
        }
    }
}

/// The module in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// How the image is laid out.
    pub shape: Shape,
    /// The bytes.
    pub wasm: &'a [u8],
}

impl Child {
    /// The module: as the meshes look for it, then as wkg does, then anywhere.
    pub fn found(&self) -> Option<Found<'_>> {
        let raw = |kind: &str| self.layers.iter().find(|l| l.descriptor.media_type == kind);
        let last = |kind: &str| self.layers.last().filter(|l| l.descriptor.media_type == kind);
        if self.is_docker() {
            if let Some(found) = found(Shape::Docker, last(types::DOCKER_LAYER)) {
                return Some(found);
            }
        } else if let Some(found) = found(Shape::Compat, last(types::OCI_LAYER)) {
            return Some(found);
        }
        let two = raw(types::SOLO_MODULE).filter(|_| self.layers.len() == 2);
        let one = raw(types::CNCF_MODULE).filter(|_| self.layers.len() == 1);
        let any = self.layers.iter().rev().find(|l| l.look.wasm().is_some());
        found(Shape::Solo, two)
            .or_else(|| found(Shape::Cncf, one))
            .or_else(|| found(Shape::WasmToOci, raw(types::WASM_TO_OCI_MODULE)))
            .or_else(|| found(Shape::Other, any))
    }

    /// Readers decide by the field in the manifest, not by what the registry says.
    pub(crate) fn is_docker(&self) -> bool {
        self.manifest.media_type.as_deref() == Some(types::DOCKER_MANIFEST)
    }
}

fn found(shape: Shape, layer: Option<&Layer>) -> Option<Found<'_>> {
    Some(Found { shape, wasm: layer?.look.wasm()? })
}

/// Reads what a reference names, with all layers that may hold a module.
///
/// # Errors
/// When the store does not give it, or it is no image at all. What a reader would refuse is no error.
pub fn fetch(store: &dyn Store, target: &str) -> Result<Fetched, Error> {
    let pinned = target.parse::<Digest>().ok();
    let (bytes, said) = store.manifest(target)?;
    let digest = Digest::of(&bytes);
    if let Some(pinned) = &pinned {
        same(pinned, &digest)?;
    }
    let mut fetched = Fetched { digest: digest.clone(), pinned: pinned.is_some(), index: None, child: None };
    match Document::read(&bytes, said.as_deref())? {
        Document::Manifest(manifest) => fetched.child = Some(child(store, digest, *manifest)?),
        Document::Index(index) => {
            let chosen = index.manifests.iter().find(|d| is_amd64(d)).cloned();
            fetched.index = Some(index);
            if let Some(chosen) = chosen {
                let (bytes, said) = store.manifest(chosen.digest.as_str())?;
                same(&chosen.digest, &Digest::of(&bytes))?;
                match Document::read(&bytes, said.as_deref())? {
                    Document::Manifest(manifest) => {
                        fetched.child = Some(child(store, chosen.digest, *manifest)?);
                    }
                    Document::Index(_) => {
                        return Err(Error::new(Kind::BadImage, "an index in an index is read by nobody"));
                    }
                }
            }
        }
    }
    Ok(fetched)
}

/// The meshes take this child whatever the cluster runs on; one without a platform counts as it.
fn is_amd64(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_none_or(|p| p.os == "linux" && p.architecture == "amd64")
}

fn same(want: &Digest, got: &Digest) -> Result<(), Error> {
    if want == got {
        return Ok(());
    }
    Err(Error::new(Kind::Broken, format!("asked for {want}, got {got}")))
}

fn child(store: &dyn Store, digest: Digest, manifest: Manifest) -> Result<Child, Error> {
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for descriptor in &manifest.layers {
        layers.push(Layer { descriptor: descriptor.clone(), look: look(store, descriptor)? });
    }
    Ok(Child { digest, manifest, layers })
}

/// How the archive in a layer of this type is compressed; none when it is no archive.
pub(crate) fn packing(media_type: &str) -> Option<Packing> {
    match media_type {
        types::OCI_LAYER | types::DOCKER_LAYER => Some(Packing::Gzip),
        types::OCI_LAYER_PLAIN | types::DOCKER_LAYER_PLAIN => Some(Packing::Plain),
        types::OCI_LAYER_ZSTD => Some(Packing::Zstd),
        _ => None,
    }
}

fn look(store: &dyn Store, descriptor: &Descriptor) -> Result<Look, Error> {
    let packing = packing(&descriptor.media_type);
    let raw = [types::SOLO_MODULE, types::CNCF_MODULE, types::WASM_TO_OCI_MODULE];
    if packing.is_none() && !raw.contains(&descriptor.media_type.as_str()) {
        return Ok(Look::Skipped);
    }
    if descriptor.size > MAX_MODULE {
        return Ok(Look::TooLarge);
    }
    let blob = match store.blob(descriptor) {
        Ok(blob) => blob,
        // Wrong bytes are a fact about the image; a store that does not answer is not.
        Err(e) if e.kind == Kind::Broken => return Ok(Look::Broken(e.to_string())),
        Err(e) => return Err(e),
    };
    Ok(match packing.map(|packing| tarball::open(&blob, packing, MAX_MODULE + TAR_ROOM)) {
        None => Look::Raw(blob),
        Some(Opened::Archive(archive)) => Look::Archive(archive),
        Some(Opened::TooLarge) => Look::TooLarge,
        Some(Opened::Broken(why)) => Look::Broken(why),
    })
}

/// Checks a blob against its descriptor.
pub(crate) fn checked(descriptor: &Descriptor, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let length = bytes.len() as u64;
    if length != descriptor.size {
        let text = format!("blob {} has {length} bytes, not {}", descriptor.digest, descriptor.size);
        return Err(Error::new(Kind::Broken, text));
    }
    let got = Digest::of(&bytes);
    if got != descriptor.digest {
        return Err(Error::new(Kind::Broken, format!("blob {} has the digest {got}", descriptor.digest)));
    }
    Ok(bytes)
}
