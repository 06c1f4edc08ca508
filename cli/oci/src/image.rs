//! From a module to an image: the same module, layout and annotations give the same bytes everywhere.

use crate::annotations::{CREATED, VARIANT};
use crate::digest::Digest;
use crate::error::{Error, Kind};
use crate::manifest::{Descriptor, MAX_MANIFEST, Manifest, json, types};
use crate::module::{Module, ModuleKind};
use crate::{MAX_MODULE, Store, tarball};
use serde::Serialize;
use std::collections::BTreeMap;

/// How a module lies in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// An OCI image with `plugin.wasm` in its one layer. Every mesh reads it.
    Compat,
    /// The same as a Docker image, for registries that know no OCI types.
    Docker,
    /// solo.io's artifact: the raw module and its runtime configuration as two layers.
    Solo,
    /// The CNCF artifact: one raw `application/wasm` layer. wkg and its kin read it, no mesh does.
    Cncf,
}

impl Layout {
    /// All of them.
    pub const ALL: [Layout; 4] = [Layout::Compat, Layout::Docker, Layout::Solo, Layout::Cncf];

    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Compat => "compat",
            Layout::Docker => "docker",
            Layout::Solo => "solo",
            Layout::Cncf => "cncf",
        }
    }
}

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct Spec<'a> {
    /// How.
    pub layout: Layout,
    /// The module.
    pub wasm: &'a [u8],
    /// Annotations of the manifest; also labels where the layout has them.
    pub annotations: BTreeMap<String, String>,
    /// Envoy's `root_id`, for the solo layout.
    pub root_id: String,
}

/// Bytes with their descriptor.
#[derive(Debug, Clone)]
pub struct Blob {
    /// What it is.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    pub(crate) fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}

/// A complete image.
#[derive(Debug, Clone)]
pub struct Image {
    /// How it is laid out.
    pub layout: Layout,
    /// The manifest, as bytes: its digest is the image's.
    pub manifest: Blob,
    /// Configuration and layers, in the order in which they are uploaded.
    pub blobs: Vec<Blob>,
    /// What the module says about itself.
    pub module: Module,
}

impl Image {
    /// Makes the image.
    ///
    /// # Errors
    /// When the module is none that a proxy loads, or larger than 256 MiB; when an annotation is not one.
    pub fn build(spec: &Spec<'_>) -> Result<Self, Error> {
        let module = Module::read(spec.wasm);
        check(&module)?;
        if let Some(key) = spec.annotations.keys().find(|k| k.is_empty() || k.chars().any(char::is_control)) {
            return Err(Error::new(
                Kind::BadReference,
                format!("`{}` is no key of an annotation", key.escape_debug()),
            ));
        }
        let mut annotations = spec.annotations.clone();
        let (kind, blobs) = match spec.layout {
            Layout::Compat => {
                annotations.insert(VARIANT.to_owned(), "compat".to_owned());
                (types::OCI_MANIFEST, image(spec, types::OCI_CONFIG, types::OCI_LAYER)?)
            }
            Layout::Docker => {
                // Docker's manifests have no annotations; the labels carry them.
                annotations.clear();
                (types::DOCKER_MANIFEST, image(spec, types::DOCKER_CONFIG, types::DOCKER_LAYER)?)
            }
            Layout::Solo => (types::OCI_MANIFEST, solo(spec)?),
            Layout::Cncf => (types::OCI_MANIFEST, cncf(spec)?),
        };
        let mut descriptors = blobs.iter().map(|b| b.descriptor.clone());
        let config =
            descriptors.next().ok_or_else(|| Error::new(Kind::BadImage, "an image without parts"))?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(kind.to_owned()),
            artifact_type: None,
            config,
            layers: descriptors.collect(),
            subject: None,
            annotations,
        };
        let bytes = json(&manifest)?;
        if bytes.len() > MAX_MANIFEST {
            return Err(too_large(&manifest, bytes.len()));
        }
        let manifest = Blob::new(kind, bytes);
        Ok(Self { layout: spec.layout, manifest, blobs, module })
    }

    /// The image's digest.
    pub fn digest(&self) -> &Digest {
        &self.manifest.descriptor.digest
    }
}

/// An image that lies nowhere yet: what readers would make of it.
impl Store for Image {
    fn manifest(&self, _reference: &str) -> Result<(Vec<u8>, Option<String>), Error> {
        Ok((self.manifest.bytes.clone(), Some(self.manifest.descriptor.media_type.clone())))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let found = self.blobs.iter().find(|b| b.descriptor.digest == descriptor.digest);
        let missing = || Error::new(Kind::NotFound, format!("the image has no blob {}", descriptor.digest));
        found.map(|b| b.bytes.clone()).ok_or_else(missing)
    }
}

fn too_large(manifest: &Manifest, bytes: usize) -> Error {
    let mut sizes: Vec<_> = manifest.annotations.iter().map(|(key, value)| (value.len(), key)).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let largest: Vec<_> = sizes.iter().take(3).map(|(size, key)| format!("`{key}` ({size} bytes)")).collect();
    let text = format!("the manifest has {bytes} bytes; registries take {MAX_MANIFEST}");
    Error::new(Kind::BadImage, text).hint(format!("the largest annotations are {}", largest.join(", ")))
}

fn check(module: &Module) -> Result<(), Error> {
    if module.size > MAX_MODULE {
        let text = format!("the module has {} bytes; the meshes take {MAX_MODULE}", module.size);
        return Err(Error::new(Kind::BadModule, text));
    }
    let why = match &module.kind {
        ModuleKind::Filter(_) => return Ok(()),
        ModuleKind::Core => "it exports no `proxy_abi_version_…`, so it is no Proxy-Wasm filter",
        ModuleKind::Component => "it is a component; proxies load core modules",
        ModuleKind::Other => "it is no WebAssembly",
        ModuleKind::Broken(why) => {
            return Err(Error::new(Kind::BadModule, "no proxy would load this module").because(why));
        }
    };
    Err(Error::new(Kind::BadModule, "no proxy would load this module").because(why))
}

/// Configuration of an OCI or Docker image. Nothing reads the platform of a single manifest, but tools that
/// copy by platform look for this one.
#[derive(Serialize)]
struct ImageConfig<'a> {
    architecture: &'a str,
    os: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    config: Labels<'a>,
    rootfs: RootFs<'a>,
}

#[derive(Serialize)]
struct Labels<'a> {
    #[serde(rename = "Labels", skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RootFs<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    diff_ids: Vec<Digest>,
}

fn image_config(spec: &Spec<'_>, diff_ids: Vec<Digest>) -> Result<Vec<u8>, Error> {
    json(&ImageConfig {
        architecture: "amd64",
        os: "linux",
        created: spec.annotations.get(CREATED).map(String::as_str),
        config: Labels { labels: &spec.annotations },
        rootfs: RootFs { kind: "layers", diff_ids },
    })
}

fn image(spec: &Spec<'_>, config: &str, layer: &str) -> Result<Vec<Blob>, Error> {
    let tar = tarball::pack(spec.wasm)?;
    let config = Blob::new(config, image_config(spec, vec![Digest::of(&tar)])?);
    Ok(vec![config, Blob::new(layer, tarball::gzip(&tar)?)])
}

#[derive(Serialize)]
struct SoloConfig<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    config: SoloRoots<'a>,
}

#[derive(Serialize)]
struct SoloRoots<'a> {
    root_ids: [&'a str; 1],
}

/// The specification's table and its example name the ABI differently, and no reader uses it: it is left out.
fn solo(spec: &Spec<'_>) -> Result<Vec<Blob>, Error> {
    let runtime = SoloConfig { kind: "envoy_proxy", config: SoloRoots { root_ids: [&spec.root_id] } };
    let mut runtime = Blob::new(types::SOLO_CONFIG, json(&runtime)?);
    let mut module = Blob::new(types::SOLO_MODULE, spec.wasm.to_vec());
    for (blob, title) in [(&mut runtime, "runtime-config.json"), (&mut module, "filter.wasm")] {
        let title = ("org.opencontainers.image.title".to_owned(), title.to_owned());
        blob.descriptor.annotations = Some(BTreeMap::from([title]));
    }
    let diff_ids = vec![runtime.descriptor.digest.clone(), module.descriptor.digest.clone()];
    // No reader looks at this configuration; an image's own is what registries with an allow-list take.
    let config = Blob::new(types::OCI_CONFIG, image_config(spec, diff_ids)?);
    Ok(vec![config, runtime, module])
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CncfConfig<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [Digest; 1],
}

/// `created` is required by wkg's reader: without a time of its own the image is of the epoch.
fn cncf(spec: &Spec<'_>) -> Result<Vec<Blob>, Error> {
    let module = Blob::new(types::CNCF_MODULE, spec.wasm.to_vec());
    let config = CncfConfig {
        created: spec.annotations.get(CREATED).map_or("1970-01-01T00:00:00Z", String::as_str),
        architecture: "wasm",
        os: "wasip1",
        layer_digests: [module.descriptor.digest.clone()],
    };
    Ok(vec![Blob::new(types::CNCF_CONFIG, json(&config)?), module])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(layout: Layout) -> Image {
        // Long enough for the compressor to have choices.
        let data: String = (0..20_000).map(|n| format!("{n:x}")).collect();
        let text =
            format!("(module (memory 2) (func (export \"proxy_abi_version_0_2_1\")) (data \"{data}\"))");
        let wasm = wat::parse_str(text).unwrap();
        let annotations =
            BTreeMap::from([("org.opencontainers.image.title".to_owned(), "golden".to_owned())]);
        Image::build(&Spec { layout, wasm: &wasm, annotations, root_id: String::new() }).unwrap()
    }

    /// A change of these is a new digest for everybody's unchanged module: say so in the notes of the release.
    #[test]
    fn digests_are_the_same_on_every_machine_and_day_2() {
        let digests = Layout::ALL.map(|layout| built(layout).digest().hex()[..16].to_owned());
        assert_eq!(digests, ["6697929d46ad0337", "33035df14efd7a90", "e03e2e0c26627c5d", "979a1139673a0bc2"]);
    }

    #[test]
    fn a_manifest_names_its_media_type_and_all_its_blobs() {
        for layout in Layout::ALL {
            let image = built(layout);
            let manifest: Manifest = serde_json::from_slice(&image.manifest.bytes).unwrap();
            assert_eq!(manifest.media_type.as_ref(), Some(&image.manifest.descriptor.media_type));
            assert_eq!(manifest.artifact_type, None);
            let named: Vec<_> = [&manifest.config].into_iter().chain(&manifest.layers).cloned().collect();
            let held: Vec<_> = image.blobs.iter().map(|b| b.descriptor.clone()).collect();
            assert_eq!(named, held);
            for blob in &image.blobs {
                assert_eq!(Digest::of(&blob.bytes), blob.descriptor.digest);
            }
        }
    }

    #[test]
    fn what_no_proxy_loads_makes_no_image() {
        for (wasm, why) in [
            (wat::parse_str("(module)").unwrap(), "proxy_abi_version"),
            (wat::parse_str("(component)").unwrap(), "component"),
            (b"MZ".to_vec(), "no WebAssembly"),
        ] {
            let spec = Spec {
                layout: Layout::Compat,
                wasm: &wasm,
                annotations: BTreeMap::new(),
                root_id: String::new(),
            };
            let error = Image::build(&spec).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(why), "{cause}");
        }
    }
}
