//! Who would load an image, by rules that are data: what each reader wants, and which rule an image breaks.
//!
//! The rules were read in the sources of Istio 1.32-dev, Envoy Gateway 1.9 and Higress (one fetcher design on
//! one Go library) and of wkg's reader `oci-wasm` 0.6; Envoy itself reads no images.

use crate::fetch::{Child, Fetched, Look};
use crate::manifest::types;
use crate::module::{Module, ModuleKind};
use crate::{MAX_MODULE, tarball};

/// Above this many bytes a module may not arrive in Istio's 30 s for a whole fetch.
const SLOW: u64 = 20 << 20;

/// Somebody who loads images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumer {
    /// Stable name.
    pub id: &'static str,
    /// What `--target` may say after `@`, the newest last; empty: versions make no difference.
    pub versions: &'static [&'static str],
    reader: Reader,
    /// How long a whole fetch may take.
    pub patience: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Istio's agent and its relatives.
    Mesh,
    /// `oci-wasm`.
    Wkg,
}

/// Everybody whose rules are known.
pub const CONSUMERS: [Consumer; 4] = [
    Consumer {
        id: "istio",
        versions: &["1.27", "1.28", "1.29", "1.30", "1.31", "1.32"],
        reader: Reader::Mesh,
        patience: "30 s for the whole fetch",
    },
    Consumer {
        id: "envoy-gateway",
        versions: &[],
        reader: Reader::Mesh,
        patience: "5 min for the whole fetch",
    },
    Consumer { id: "higress", versions: &[], reader: Reader::Mesh, patience: "30 s for the whole fetch" },
    Consumer { id: "wkg", versions: &[], reader: Reader::Wkg, patience: "no limit" },
];

rules! {
    /// A rule that an image can break.
    Rule:
    LastLayerType = "last-layer-type", "The meshes read one layer, the last, and only as gzipped tar of the manifest's own family: OCI's type under an OCI manifest, Docker's under a Docker one. Zstandard, plain tar and the other family's type are refused.";
    NoPlugin = "no-plugin-wasm", "The meshes look for a file whose base name is `plugin.wasm` in the last layer, in any folder of it.";
    PluginNotLast = "plugin-not-last", "`plugin.wasm` lies in a layer that is not the last. Each `COPY` of a Dockerfile makes a layer; the one of the module must come last.";
    SoloLayers = "solo-layer-count", "The solo layout has exactly two layers, the runtime configuration and the module. A third, a readme or an SBOM for instance, or a missing one makes the meshes refuse it; attach such things as referrers.";
    CncfLayout = "cncf-layout", "One `application/wasm` layer is the CNCF layout of wkg, Spin and wasmCloud. No mesh reads it; push the compat layout for the meshes.";
    WasmToOci = "wasm-to-oci-layout", "The layout of wasm-to-oci and `cosign upload wasm`. Registries show it, no mesh reads it.";
    IndexNoAmd64 = "index-no-amd64", "Of an index the meshes take the child for linux/amd64, whatever the cluster runs on, and there is none. `docker buildx` on an ARM machine makes such an index; build with `--platform linux/amd64`, or push a single manifest.";
    PinnedIndex = "pinned-index", "The meshes compare a pinned digest with that of the child that they take from an index: pinning the index's own digest never matches. Pin the child.";
    Component = "component", "The module is a component. It is fetched, and then Envoy refuses it: proxies load core modules.";
    NoAbi = "no-proxy-abi", "The module exports no `proxy_abi_version_…`. It is fetched, and then Envoy refuses it.";
    BadMagic = "bad-magic", "A module has at least eight bytes and begins with the four bytes of WebAssembly.";
    BrokenModule = "broken-module", "The module begins as WebAssembly and is malformed further on. It is fetched, and then Envoy refuses it.";
    TooLarge = "module-too-large", "The meshes take 256 MiB once unpacked; above it Istio refuses or cuts off. `ISTIO_WASM_MAX_BINARY_SIZE_BYTES` changes the limit since Istio 1.30.";
    Slow = "slow-fetch", "Istio gives up a fetch after 30 s, which cannot be changed. More than 20 MiB may not arrive in time from a distant registry.";
    BrokenLayer = "broken-layer", "A layer is not what its digest, its length or its type says.";
    WkgConfig = "wkg-config-type", "wkg wants the configuration type `application/vnd.wasm.config.v0+json`.";
    WkgLayers = "wkg-layers", "wkg wants exactly one layer of the type `application/wasm`.";
    EmptyConfig = "empty-config", "OCI's empty configuration is read by the meshes, and refused by wkg and by registries with an allow-list such as GitLab's.";
}

/// One thing about an image, for one consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// One line about this image.
    pub text: String,
    /// True when the consumer does not load the image for it, else it is a warning.
    pub breaks: bool,
}

/// What one consumer makes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// Who, with a version when one was asked for.
    pub consumer: String,
    /// Whether it loads the image.
    pub loads: bool,
    /// Why not, and what to mind.
    pub findings: Vec<Finding>,
}

impl Consumer {
    /// The consumer of `istio`, `istio@1.29`, `wkg`, with the version that was asked for.
    ///
    /// # Errors
    /// What may be asked for instead.
    pub fn named(text: &str) -> Result<(Self, Option<&'static str>), String> {
        let (id, version) = text.split_once('@').map_or((text, None), |(id, version)| (id, Some(version)));
        let Some(found) = CONSUMERS.into_iter().find(|c| c.id == id) else {
            return Err(format!("unknown; known are {}", CONSUMERS.map(|c| c.id).join(", ")));
        };
        let Some(version) = version else { return Ok((found, None)) };
        match found.versions.iter().find(|v| **v == version) {
            Some(known) => Ok((found, Some(known))),
            None if found.versions.is_empty() => Err(format!("`{id}` has no versions here")),
            None => Err(format!("versions of `{id}`: {}", found.versions.join(", "))),
        }
    }

    /// What it makes of an image.
    pub fn judge(&self, version: Option<&str>, image: &Fetched) -> Opinion {
        let mut findings = match self.reader {
            Reader::Mesh => mesh(image),
            Reader::Wkg => wkg(image),
        };
        let patient = self.id == "envoy-gateway";
        findings.retain(|f| !(f.rule == Rule::Slow && patient));
        if let (Some(f), "istio", Some(version)) =
            (findings.iter_mut().find(|f| f.rule == Rule::TooLarge), self.id, version)
            && self.versions.iter().position(|v| *v == version)
                >= self.versions.iter().position(|v| *v == "1.30")
        {
            f.text += " unless `ISTIO_WASM_MAX_BINARY_SIZE_BYTES` is raised";
        }
        let consumer = version.map_or_else(|| self.id.to_owned(), |v| format!("{} {v}", self.id));
        Opinion { consumer, loads: findings.iter().all(|f| !f.breaks), findings }
    }
}

/// What everybody makes of an image.
pub fn judge(image: &Fetched) -> Vec<Opinion> {
    CONSUMERS.iter().map(|c| c.judge(None, image)).collect()
}

fn breaks(rule: Rule, text: impl Into<String>) -> Finding {
    Finding { rule, text: text.into(), breaks: true }
}

fn mesh(image: &Fetched) -> Vec<Finding> {
    let mut findings = Vec::new();
    if image.index.is_some() && image.pinned {
        findings.push(breaks(Rule::PinnedIndex, format!("{} is the digest of an index", image.digest)));
    }
    let Some(child) = &image.child else {
        findings.push(breaks(Rule::IndexNoAmd64, platforms(image)));
        return findings;
    };
    match mesh_module(child) {
        Ok(wasm) => findings.extend(content(wasm)),
        Err(finding) => findings.push(finding),
    }
    findings
}

/// The steps of the fetcher: a Docker manifest is tried as Docker's alone; anything else as compat, then as
/// the solo layout. The finding says what comes nearest to what the maker meant.
fn mesh_module(child: &Child) -> Result<&[u8], Finding> {
    let layers = &child.layers;
    let want = if child.is_docker() { types::DOCKER_LAYER } else { types::OCI_LAYER };
    let last = layers.last();
    let compat = match last {
        Some(last) if last.descriptor.media_type == want => match &last.look {
            Look::Archive(archive) => match &archive.plugin {
                Some(wasm) => return Ok(wasm),
                None => Err(no_plugin(child, &archive.files)),
            },
            Look::TooLarge => Err(breaks(Rule::TooLarge, format!("more than {MAX_MODULE} bytes unpacked"))),
            Look::Broken(why) => Err(breaks(Rule::BrokenLayer, why.clone())),
            Look::Raw(_) | Look::Skipped => Err(breaks(Rule::BrokenLayer, "the last layer is no archive")),
        },
        _ => Err(wrong_type(child, want)),
    };
    if child.is_docker() {
        return compat;
    }
    let raw = layers.iter().find(|l| l.descriptor.media_type == types::SOLO_MODULE);
    match raw {
        Some(raw) if layers.len() == 2 => match &raw.look {
            Look::Raw(wasm) => Ok(wasm),
            Look::Broken(why) => Err(breaks(Rule::BrokenLayer, why.clone())),
            _ => Err(breaks(Rule::TooLarge, format!("more than {MAX_MODULE} bytes"))),
        },
        Some(_) => Err(breaks(Rule::SoloLayers, format!("{} layers in place of two", layers.len()))),
        None => compat,
    }
}

fn wrong_type(child: &Child, want: &str) -> Finding {
    let Some(last) = child.layers.last() else {
        return breaks(Rule::LastLayerType, "there are no layers");
    };
    let earlier = |l: &&crate::Layer| l.descriptor.media_type == want && l.look.wasm().is_some();
    if child.layers.iter().find(earlier).is_some() {
        return breaks(Rule::PluginNotLast, format!("the last of {} layers is another", child.layers.len()));
    }
    match last.descriptor.media_type.as_str() {
        types::CNCF_MODULE => breaks(Rule::CncfLayout, "one `application/wasm` layer"),
        types::WASM_TO_OCI_MODULE => breaks(Rule::WasmToOci, "one raw layer"),
        kind => {
            breaks(Rule::LastLayerType, format!("the last layer is `{}`, not `{want}`", kind.escape_debug()))
        }
    }
}

fn no_plugin(child: &Child, files: &[(String, u64)]) -> Finding {
    let before = child.layers.len().saturating_sub(1);
    if child.layers[..before].iter().any(|l| l.look.wasm().is_some()) {
        return breaks(Rule::PluginNotLast, format!("the last of {} layers has none", child.layers.len()));
    }
    let names: Vec<_> = files.iter().take(3).map(|(name, _)| format!("`{}`", name.escape_debug())).collect();
    let has = if names.is_empty() { "no file".to_owned() } else { names.join(", ") };
    breaks(Rule::NoPlugin, format!("the last layer has {has} and no `{}`", tarball::PLUGIN))
}

/// What Envoy makes of the module once it is fetched.
pub(crate) fn content(wasm: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let module = Module::read(wasm);
    match module.kind {
        ModuleKind::Filter(_) => {}
        ModuleKind::Core => findings.push(breaks(Rule::NoAbi, "no export `proxy_abi_version_…`")),
        ModuleKind::Component => findings.push(breaks(Rule::Component, "the module is a component")),
        ModuleKind::Other => {
            findings.push(breaks(Rule::BadMagic, format!("{} bytes of something else", module.size)))
        }
        ModuleKind::Broken(why) => findings.push(breaks(Rule::BrokenModule, why)),
    }
    if module.size > MAX_MODULE {
        findings.push(breaks(Rule::TooLarge, format!("{} bytes unpacked", module.size)));
    } else if module.size > SLOW {
        let text = format!("{} MiB have to arrive in 30 s", module.size >> 20);
        findings.push(Finding { rule: Rule::Slow, text, breaks: false });
    }
    findings
}

fn platforms(image: &Fetched) -> String {
    let all = image.index.iter().flat_map(|i| &i.manifests).filter_map(|d| d.platform.as_ref());
    let names: Vec<_> =
        all.map(|p| format!("{}/{}", p.os.escape_debug(), p.architecture.escape_debug())).collect();
    if names.is_empty() {
        "the index is empty".to_owned()
    } else {
        format!("the index has only {}", names.join(", "))
    }
}

fn wkg(image: &Fetched) -> Vec<Finding> {
    let Some(child) = &image.child else {
        return vec![breaks(Rule::IndexNoAmd64, platforms(image))];
    };
    let mut findings = Vec::new();
    let config = child.manifest.config.media_type.as_str();
    if config == types::OCI_EMPTY {
        findings.push(breaks(Rule::EmptyConfig, "the configuration is OCI's empty one"));
    } else if config != types::CNCF_CONFIG {
        findings.push(breaks(Rule::WkgConfig, format!("the configuration is `{}`", config.escape_debug())));
    }
    match child.layers.as_slice() {
        [one] if one.descriptor.media_type == types::CNCF_MODULE => match &one.look {
            Look::Raw(wasm) if matches!(Module::read(wasm).kind, ModuleKind::Other) => {
                findings.push(breaks(Rule::BadMagic, format!("{} bytes of something else", wasm.len())));
            }
            Look::Broken(why) => findings.push(breaks(Rule::BrokenLayer, why.clone())),
            _ => {}
        },
        [one] => {
            let kind = one.descriptor.media_type.escape_debug();
            findings.push(breaks(Rule::WkgLayers, format!("the layer is `{kind}`")));
        }
        many => findings.push(breaks(Rule::WkgLayers, format!("{} layers", many.len()))),
    }
    findings
}
