//! Other people's images, wrapped anew, from registries, folders and files.

use crate::desk::{Desk, chain};
use crate::real::{Real, skopeo};
use crate::shelf::{Shelf, filter, image, layer, variant};
use tamis_oci::consumers::{Rule, judge};
use tamis_oci::mend::{MENDED, Mended, mend};
use tamis_oci::{Descriptor, Folder, Kind, Layout, Saved, Store, fetch, types};

const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

fn of(shelf: &Shelf, descriptor: &Descriptor) -> Result<Mended, tamis_oci::Error> {
    mend(shelf.tag(descriptor), "t", Layout::Compat)
}

/// Mends one manifest with these layers; the rules that were mended.
fn mended(kind: &str, layers: &[(&str, &[u8])]) -> Vec<Rule> {
    let shelf = Shelf::default();
    let done = of(&shelf, &shelf.manifest(kind, types::OCI_CONFIG, layers)).unwrap();
    let fetched = fetch(&done.image, "t").unwrap();
    let child = fetched.child.as_ref().unwrap();
    assert_eq!(child.found().unwrap().wasm, filter(), "the module is the same");
    assert!(judge(&fetched).iter().all(|o| o.loads || o.consumer == "wkg"));
    assert_eq!(child.manifest.annotations[MENDED], done.from.as_str());
    let meshes = ["istio", "envoy-gateway", "higress"];
    assert!(done.mends.iter().all(|m| m.consumers == meshes), "{:?}", done.mends);
    done.mends.iter().map(|m| m.rule).collect()
}

/// The rule that stands in the way.
fn refused(layers: &[(&str, &[u8])]) -> String {
    let shelf = Shelf::default();
    let error = of(&shelf, &shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, layers)).unwrap_err();
    assert_eq!(error.kind, Kind::CannotMend, "{}", chain(&error));
    chain(&error)
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn plain(files: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Read as _;
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(layer(files).as_slice()).read_to_end(&mut tar).unwrap();
    tar
}

#[test]
fn what_breaks_a_rule_of_wrapping_is_mended() {
    let wasm = filter();
    let good = layer(&[("plugin.wasm", &wasm)]);
    let other = layer(&[("README", b"r")]);
    let oci = |layers: &[(&str, &[u8])]| mended(types::OCI_MANIFEST, layers);
    assert_eq!(oci(&[(types::CNCF_MODULE, &wasm)]), [Rule::CncfLayout]);
    assert_eq!(oci(&[(types::WASM_TO_OCI_MODULE, &wasm)]), [Rule::WasmToOci]);
    assert_eq!(oci(&[(types::OCI_LAYER, &good), (types::OCI_LAYER, &other)]), [Rule::PluginNotLast]);
    assert_eq!(oci(&[(types::DOCKER_LAYER, &good)]), [Rule::LastLayerType]);
    assert_eq!(oci(&[(types::OCI_LAYER_PLAIN, &plain(&[("plugin.wasm", &wasm)]))]), [Rule::LastLayerType]);
    assert_eq!(oci(&[(ZSTD, &zstd(&plain(&[("plugin.wasm", &wasm)])))]), [Rule::LastLayerType]);
    assert_eq!(oci(&[(types::OCI_LAYER, &layer(&[("filter.wasm", &wasm)]))]), [Rule::NoPlugin]);
    assert_eq!(
        oci(&[(types::OCI_LAYER, &layer(&[("app/Filter.WASM", &wasm), ("LICENSE", b"l")]))]),
        [Rule::NoPlugin]
    );
    let solo = [(types::SOLO_CONFIG, &b"{}"[..]), (types::SOLO_MODULE, &wasm), ("text/markdown", b"readme")];
    assert_eq!(oci(&solo), [Rule::SoloLayers]);
    assert_eq!(mended(types::DOCKER_MANIFEST, &[(types::OCI_LAYER, &good)]), [Rule::LastLayerType]);
    assert_eq!(oci(&[(types::OCI_LAYER, &good)]), []);
}

#[test]
fn what_no_wrapping_helps_is_refused() {
    let of = |wasm: &[u8]| refused(&[(types::OCI_LAYER, &layer(&[("plugin.wasm", wasm)]))]);
    assert!(of(b"text, not wasm").contains("[bad-magic]"));
    assert!(of(&wat::parse_str("(component)").unwrap()).contains("[component]"));
    assert!(of(&wat::parse_str("(module)").unwrap()).contains("[no-proxy-abi]"));
    let wasm = filter();
    assert!(of(&wasm[..wasm.len() - 2]).contains("[broken-module]"));
    assert!(refused(&[(types::OCI_LAYER, &layer(&[("README", b"r")]))]).contains("[no-plugin-wasm]"));
    assert!(refused(&[]).contains("[last-layer-type]"));
    assert!(refused(&[(ZSTD, b"no zstd")]).contains("[last-layer-type]"));
    let two = layer(&[("a.wasm", &wasm), ("b.wasm", &variant(1))]);
    assert!(refused(&[(types::OCI_LAYER, &two)]).contains("`a.wasm`, `b.wasm`"));
}

#[test]
fn of_an_index_the_module_of_another_platform_serves() {
    let shelf = Shelf::default();
    let good = layer(&[("plugin.wasm", &filter())]);
    let image = shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::OCI_LAYER, &good)]);
    let attestation =
        shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[("application/vnd.in-toto+json", b"{}")]);
    let arm = shelf.index(&[(image.clone(), "linux/arm64"), (attestation, "unknown/unknown")]);
    let done = of(&shelf, &arm).unwrap();
    // wkg takes the same child, and no compat image.
    assert_eq!(done.mends.iter().map(|m| m.rule).collect::<Vec<_>>(), [Rule::IndexNoAmd64]);
    let amd = shelf.index(&[(image.clone(), "linux/amd64")]);
    let done = mend(&shelf, amd.digest.as_str(), Layout::Compat).unwrap();
    assert_eq!(done.mends[0].rule, Rule::PinnedIndex);
    let two = layer(&[("plugin.wasm", &variant(2))]);
    let two = shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::OCI_LAYER, &two)]);
    let differ = shelf.index(&[(image, "linux/arm64"), (two, "linux/s390x")]);
    assert!(chain(&of(&shelf, &differ).unwrap_err()).contains("different modules"));
}

#[test]
fn for_wkg_too() {
    let shelf = Shelf::default();
    let good = layer(&[("plugin.wasm", &filter())]);
    let image = shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::OCI_LAYER, &good)]);
    let done = mend(shelf.tag(&image), "t", Layout::Cncf).unwrap();
    assert!(done.mends.iter().all(|m| m.consumers == ["wkg"]));
    assert_eq!(done.mends.iter().map(|m| m.rule).collect::<Vec<_>>(), [Rule::WkgConfig, Rule::WkgLayers]);
}

#[test]
fn labels_come_along_and_the_same_image_is_mended_alike() {
    let shelf = Shelf::default();
    let config = r#"{"config":{"Labels":{"org.opencontainers.image.title":"theirs","org.opencontainers.image.created":"soon"}}}"#;
    let config = shelf.blob(types::OCI_CONFIG, config.as_bytes());
    let layer = shelf.blob(types::OCI_LAYER, &layer(&[("filter.wasm", &filter())]));
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": types::OCI_MANIFEST, "config": config, "layers": [layer],
        "annotations": {"a": "b", "": "no key"},
    });
    let manifest = shelf.blob(types::OCI_MANIFEST, manifest.to_string().as_bytes());
    let (one, two) = (of(&shelf, &manifest).unwrap(), of(&shelf, &manifest).unwrap());
    assert_eq!(one.image.digest(), two.image.digest());
    let annotations = &fetch(&one.image, "t").unwrap().child.unwrap().manifest.annotations;
    assert_eq!(annotations["org.opencontainers.image.title"], "theirs");
    assert_eq!((annotations["a"].as_str(), annotations["tamis.abi"].as_str()), ("b", "0.2.1"));
    assert!(!annotations.contains_key("") && !annotations.contains_key("org.opencontainers.image.created"));
}

/// What skopeo writes, in both forms of a file and as a folder.
#[test]
fn folders_and_files_of_other_tools_are_read() {
    let (registry, home) = (Real::open(), tempfile::tempdir().unwrap());
    let desk = Desk::default();
    let wasm = variant(3);
    desk.push_as(&registry.at, &image(Layout::Docker, &wasm), &["v1"], false).unwrap();
    let from = format!("docker://{}/team/filter:v1", registry.at);
    let path = |name: &str| home.path().join(name);
    for (form, name) in [("oci", "folder"), ("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")] {
        let to = format!(
            "{form}:{}:{}",
            path(name).display(),
            if form == "docker-archive" { "a/b:v1" } else { "v1" }
        );
        skopeo(home.path(), &["copy", "--src-tls-verify=false", &from, &to]);
    }
    let gzip = |from: &str, to: &str| {
        let mut out = flate2::write::GzEncoder::new(
            std::fs::File::create(path(to)).unwrap(),
            flate2::Compression::fast(),
        );
        std::io::copy(&mut std::fs::File::open(path(from)).unwrap(), &mut out).unwrap();
        out.finish().unwrap();
    };
    gzip("docker.tar", "docker.tar.gz");
    let folder = Folder::at(path("folder"));
    assert_eq!(folder.only().unwrap(), "v1");
    let mut stores: Vec<Box<dyn Store>> = vec![Box::new(folder)];
    for name in ["oci.tar", "docker.tar", "docker.tar.gz"] {
        let saved = Saved::read(&path(name)).unwrap();
        assert_eq!(saved.only().unwrap(), "v1", "{name}");
        stores.push(Box::new(saved));
    }
    for (store, rule) in stores.iter().zip([None, None, Some(Rule::LastLayerType), Some(Rule::LastLayerType)])
    {
        let done = mend(store.as_ref(), "v1", Layout::Compat).unwrap();
        assert_eq!(done.image.module.sha256, tamis_oci::Digest::of(&wasm));
        // A saved Docker image has plain layers; a registry would pack them.
        assert_eq!(done.mends.first().map(|m| m.rule), rule);
    }
}

#[test]
fn files_that_are_no_images_say_so() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let json = |name: &str, text: &[u8]| plain(&[(name, text)]);
    for (name, bytes) in [
        ("empty", vec![]),
        ("other.tar", json("README", b"r")),
        ("index.tar", json("index.json", b"{")),
        ("docker.tar", json("manifest.json", br#"[{"Config":"c.json","Layers":["../../etc/passwd"]}]"#)),
    ] {
        let error = Saved::read(&write(name, &bytes)).unwrap_err();
        assert_eq!(error.kind, Kind::BadImage, "{name}: {}", chain(&error));
    }
    assert_eq!(Saved::read(&write("text", &[b'x'; 600])).unwrap_err().kind, Kind::Files);
    assert_eq!(Saved::read(&home.path().join("none")).unwrap_err().kind, Kind::Files);
    let two = Folder::at(home.path().join("two"));
    for (tag, wasm) in [("a", filter()), ("b", variant(1))] {
        two.write(&image(Layout::Compat, &wasm), tag, false).unwrap();
    }
    assert!(chain(&two.only().unwrap_err()).contains("a, b"));
}
