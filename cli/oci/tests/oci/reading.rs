//! Other people's images, and what each consumer makes of them.

use crate::shelf::{Shelf, filter, image, layer};
use proptest::prelude::*;
use tamis_oci::consumers::{Consumer, Rule, judge};
use tamis_oci::{Digest, Fetched, Folder, Kind, Layout, Shape, Store, fetch, types};

/// The rules that Istio and wkg name, warnings included.
fn rules(image: &Fetched) -> (Vec<Rule>, Vec<Rule>) {
    let opinions = judge(image);
    let of = |id: &str| {
        let opinion = opinions.iter().find(|o| o.consumer == id).unwrap();
        let broken = opinion.findings.iter().any(|f| f.breaks);
        assert_eq!(opinion.loads, !broken, "{opinion:?}");
        opinion.findings.iter().map(|f| f.rule).collect::<Vec<_>>()
    };
    // One fetcher: what holds for one mesh holds for all.
    assert_eq!(of("istio"), of("higress"));
    (of("istio"), of("wkg"))
}

/// One manifest with these layers, read by its tag.
fn read(kind: &str, config: &str, layers: &[(&str, &[u8])]) -> Fetched {
    let shelf = Shelf::default();
    let manifest = shelf.manifest(kind, config, layers);
    fetch(shelf.tag(&manifest), "t").unwrap()
}

fn oci(layers: &[(&str, &[u8])]) -> Vec<Rule> {
    rules(&read(types::OCI_MANIFEST, types::OCI_CONFIG, layers)).0
}

#[test]
fn every_layout_has_its_readers_3() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Folder::at(folder.path());
    for layout in Layout::ALL {
        let image = image(layout, &filter());
        assert!(folder.write(&image, layout.name(), false).unwrap());
        let fetched = fetch(&folder, layout.name()).unwrap();
        assert_eq!(&fetched.digest, image.digest());
        let child = fetched.child.as_ref().unwrap();
        let found = child.found().unwrap();
        assert_eq!((found.shape.name(), found.wasm), (layout.name(), filter().as_slice()));
        let (istio, wkg) = rules(&fetched);
        match layout {
            Layout::Cncf => assert_eq!((istio, wkg), (vec![Rule::CncfLayout], vec![])),
            Layout::Solo => assert_eq!((istio, wkg), (vec![], vec![Rule::WkgConfig, Rule::WkgLayers])),
            _ => assert_eq!((istio, wkg), (vec![], vec![Rule::WkgConfig, Rule::WkgLayers])),
        }
    }
}

#[test]
fn a_folder_keeps_its_tags_and_moves_none_unasked_5() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::at(place.path());
    let (one, two) = (image(Layout::Compat, &filter()), image(Layout::Solo, &filter()));
    assert!(folder.write(&one, "a", false).unwrap());
    assert!(!folder.write(&one, "a", false).unwrap(), "the same again changes nothing");
    assert!(folder.write(&one, "b", false).unwrap());
    assert_eq!(folder.write(&two, "a", false).unwrap_err().kind, Kind::TagTaken);
    assert_eq!(fetch(&folder, "a").unwrap().digest, *one.digest());
    assert!(folder.write(&two, "a", true).unwrap());
    assert_eq!(fetch(&folder, "a").unwrap().digest, *two.digest());
    assert_eq!(fetch(&folder, one.digest().as_str()).unwrap().digest, *one.digest());
    assert_eq!(folder.tags().unwrap(), ["b", "a"]);
    assert_eq!(fetch(&folder, "c").unwrap_err().kind, Kind::NotFound);

    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("README"), "mine").unwrap();
    assert_eq!(Folder::at(other.path()).write(&one, "a", true).unwrap_err().kind, Kind::Files);
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn layers_of_the_wrong_type_39() {
    let (wasm, plain) = (filter(), [0_u8; 1024]);
    let good = layer(&[("plugin.wasm", &wasm)]);
    assert_eq!(oci(&[(types::OCI_LAYER, &good)]), []);
    assert_eq!(oci(&[("application/vnd.oci.image.layer.v1.tar+zstd", &good)]), [Rule::LastLayerType]);
    assert_eq!(oci(&[(types::OCI_LAYER_PLAIN, &plain)]), [Rule::LastLayerType]);
    assert_eq!(oci(&[(types::DOCKER_LAYER, &good)]), [Rule::LastLayerType]);
    assert_eq!(oci(&[]), [Rule::LastLayerType]);
    let docker = read(types::DOCKER_MANIFEST, types::DOCKER_CONFIG, &[(types::OCI_LAYER, &good)]);
    assert_eq!(rules(&docker).0, [Rule::LastLayerType]);
    // No media type at all is read as OCI's.
    assert_eq!(rules(&read("", types::OCI_CONFIG, &[(types::OCI_LAYER, &good)])).0, []);
    assert_eq!(oci(&[(types::WASM_TO_OCI_MODULE, &wasm)]), [Rule::WasmToOci]);
}

#[test]
fn where_the_plugin_lies_39() {
    let wasm = filter();
    let good = layer(&[("plugin.wasm", &wasm)]);
    let other = layer(&[("README", b"r")]);
    assert_eq!(oci(&[(types::OCI_LAYER, &other), (types::OCI_LAYER, &good)]), []);
    assert_eq!(oci(&[(types::OCI_LAYER, &good), (types::OCI_LAYER, &other)]), [Rule::PluginNotLast]);
    assert_eq!(oci(&[(types::OCI_LAYER, &good), ("text/x", b"readme")]), [Rule::PluginNotLast]);
    assert_eq!(oci(&[(types::OCI_LAYER, &other)]), [Rule::NoPlugin]);
    assert_eq!(oci(&[(types::OCI_LAYER, &layer(&[]))]), [Rule::NoPlugin]);
    assert_eq!(oci(&[(types::OCI_LAYER, &layer(&[("./a/plugin.wasm", &wasm)]))]), []);
    // The first of two wins, and it is no module.
    let two = layer(&[("a/plugin.wasm", b"text here"), ("plugin.wasm", &wasm)]);
    assert_eq!(oci(&[(types::OCI_LAYER, &two)]), [Rule::BadMagic]);
    // Higress: documents first, the module last.
    let spec = ("application/vnd.module.wasm.spec.v1+yaml", &b"spec"[..]);
    assert_eq!(oci(&[spec, (types::OCI_LAYER, &good)]), []);
}

#[test]
fn the_solo_layout_has_two_layers_39() {
    let wasm = filter();
    let (config, module) = ((types::SOLO_CONFIG, &b"{}"[..]), (types::SOLO_MODULE, wasm.as_slice()));
    assert_eq!(oci(&[config, module]), []);
    assert_eq!(oci(&[module, config]), []);
    assert_eq!(oci(&[module]), [Rule::SoloLayers]);
    assert_eq!(oci(&[config, module, ("text/markdown", b"readme")]), [Rule::SoloLayers]);
}

#[test]
fn what_is_in_the_module_39() {
    let compat = |wasm: &[u8]| oci(&[(types::OCI_LAYER, &layer(&[("plugin.wasm", wasm)]))]);
    assert_eq!(compat(b"\0asm\x01\0\0"), [Rule::BadMagic]);
    assert_eq!(compat(b"\x7fELF\x02\x01\x01\0\0\0\0"), [Rule::BadMagic]);
    assert_eq!(compat(&wat::parse_str("(component)").unwrap()), [Rule::Component]);
    assert_eq!(compat(&wat::parse_str("(module)").unwrap()), [Rule::NoAbi]);
    let wasm = filter();
    assert_eq!(compat(&wasm[..wasm.len() - 2]), [Rule::BrokenModule]);
    let mut large = wasm.clone();
    // A custom section of 23 MiB.
    large.extend([0, 0x80, 0x80, 0xc0, 0x0b, 1, b'x']);
    large.extend(vec![0; (23 << 20) - 2]);
    assert_eq!(compat(&large), [Rule::Slow]);
}

#[test]
fn broken_layers_and_bombs_39() {
    let good = layer(&[("plugin.wasm", &filter())]);
    assert_eq!(oci(&[(types::OCI_LAYER, &good[..good.len() / 2])]), [Rule::BrokenLayer]);
    let bomb = layer(&[("zeros", &vec![0; 300 << 20]), ("plugin.wasm", &filter())]);
    assert!(bomb.len() < 4 << 20);
    assert_eq!(oci(&[(types::OCI_LAYER, &bomb)]), [Rule::TooLarge]);

    let shelf = Shelf::default();
    let manifest = shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::OCI_LAYER, &good)]);
    shelf.tag(&manifest).tamper(&Digest::of(&good), b"other");
    assert_eq!(rules(&fetch(&shelf, "t").unwrap()).0, [Rule::BrokenLayer]);
}

#[test]
fn indexes_39() {
    let shelf = Shelf::default();
    let good = layer(&[("plugin.wasm", &filter())]);
    let image = shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::OCI_LAYER, &good)]);
    let attestation =
        shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[("application/vnd.in-toto+json", b"{}")]);
    // As buildx makes it.
    let index = shelf.index(&[(image.clone(), "linux/amd64"), (attestation.clone(), "unknown/unknown")]);
    let by_tag = fetch(shelf.tag(&index), "t").unwrap();
    assert_eq!(rules(&by_tag).0, []);
    assert_eq!(by_tag.child.as_ref().unwrap().digest, image.digest);
    assert_eq!(rules(&fetch(&shelf, index.digest.as_str()).unwrap()).0, [Rule::PinnedIndex]);
    assert_eq!(rules(&fetch(&shelf, image.digest.as_str()).unwrap()).0, []);
    let arm = shelf.index(&[(image.clone(), "linux/arm64"), (attestation, "unknown/unknown")]);
    let arm = fetch(shelf.tag(&arm), "t").unwrap();
    assert_eq!(rules(&arm), (vec![Rule::IndexNoAmd64], vec![Rule::IndexNoAmd64]));
    assert!(arm.child.is_none());
    // Without a platform it counts as linux/amd64.
    let bare = shelf.index(&[(image, "")]);
    assert_eq!(rules(&fetch(shelf.tag(&bare), "t").unwrap()).0, []);
}

#[test]
fn a_manifest_that_is_none_is_an_error() {
    let shelf = Shelf::default();
    let page = shelf.blob(types::OCI_MANIFEST, b"<html>");
    assert_eq!(fetch(shelf.tag(&page), "t").unwrap_err().kind, Kind::BadImage);
    assert_eq!(fetch(&shelf, "none").unwrap_err().kind, Kind::NotFound);
}

#[test]
fn empty_configurations_are_read_by_meshes_alone() {
    let good = layer(&[("plugin.wasm", &filter())]);
    let image = read(types::OCI_MANIFEST, types::OCI_EMPTY, &[(types::OCI_LAYER, &good)]);
    assert_eq!(rules(&image), (vec![], vec![Rule::EmptyConfig, Rule::WkgLayers]));
}

#[test]
fn a_module_is_found_even_where_no_reader_looks() {
    let zip = layer(&[("plugin.wasm", &filter())]);
    let image = read(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::DOCKER_LAYER, &zip)]);
    assert_eq!(image.child.unwrap().found().unwrap().shape, Shape::Other);
}

#[test]
fn versions_are_known_or_named() {
    let bomb = layer(&[("plugin.wasm", &vec![0; 300 << 20])]);
    let image = read(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::OCI_LAYER, &bomb)]);
    let judged = |target: &str| {
        let (consumer, version) = Consumer::named(target).unwrap();
        consumer.judge(version, &image)
    };
    assert_eq!(judged("istio@1.30").consumer, "istio 1.30");
    assert!(judged("istio@1.30").findings[0].text.contains("ISTIO_WASM_MAX_BINARY_SIZE_BYTES"));
    assert!(!judged("istio@1.29").findings[0].text.contains("ISTIO_WASM_MAX_BINARY_SIZE_BYTES"));
    for bad in ["linkerd", "istio@0.1", "wkg@1"] {
        assert!(Consumer::named(bad).is_err(), "{bad}");
    }
    let unused: &dyn Store = &Shelf::default();
    assert!(unused.manifest("t").is_err());
}

proptest! {
    /// Bytes of strangers: whatever they are, there is an answer.
    #[test]
    fn no_bytes_break_a_reader_39(
        noise in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(),
        flip in 1_u8.., cut in any::<prop::sample::Index>(), kind in 0..6_usize,
    ) {
        let types = [
            types::OCI_LAYER, types::OCI_LAYER_PLAIN, types::DOCKER_LAYER, types::SOLO_MODULE, types::CNCF_MODULE,
            types::WASM_TO_OCI_MODULE,
        ];
        let mut bent = layer(&[("plugin.wasm", &filter())]);
        let index = at.index(bent.len());
        bent[index] ^= flip;
        bent.truncate(cut.index(bent.len()));
        for blob in [&noise, &bent] {
            judge(&read(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types[kind], blob)]));
        }
        let shelf = Shelf::default();
        let good = shelf.manifest(types::OCI_MANIFEST, types::OCI_CONFIG, &[(types::OCI_LAYER, &noise)]);
        let mut text = Store::manifest(&shelf, good.digest.as_str()).unwrap().0;
        let index = at.index(text.len());
        text[index] ^= flip;
        let manifest = shelf.blob(types::OCI_MANIFEST, &text);
        if let Ok(fetched) = fetch(shelf.tag(&manifest), "t") {
            judge(&fetched);
        }
    }
}
