//! Pushing to a real registry and pulling from it; skopeo and buildah judge.

use crate::desk::{Desk, chain};
use crate::real::{Real, Setup, buildah_pull, skopeo};
use crate::shelf::{filter, image, variant};
use tamis_oci::remote::Tagged;
use tamis_oci::{Digest, Folder, Kind, Layout, Look, consumers};

#[test]
fn what_is_pushed_other_tools_read_1() {
    let (registry, home) = (Real::open(), tempfile::tempdir().unwrap());
    let desk = Desk::default();
    let pushed = desk.push(&registry.at, &filter()).unwrap();
    assert_eq!(pushed.tags, [("v1".to_owned(), Tagged::New)]);
    assert_eq!(pushed.uploaded, 2);
    let layers = &pushed.fetched.child.as_ref().unwrap().layers;
    let Look::Archive(archive) = &layers[0].look else { panic!("{layers:?}") };
    assert_eq!((layers.len(), &archive.files), (1, &vec![("plugin.wasm".to_owned(), filter().len() as u64)]));
    let name = format!("docker://{}/team/filter:v1", registry.at);
    let raw = skopeo(home.path(), &["inspect", "--raw", "--tls-verify=false", &name]);
    assert_eq!(Digest::of(raw.as_bytes()), pushed.fetched.digest);
    let told: serde_json::Value =
        serde_json::from_str(&skopeo(home.path(), &["inspect", "--tls-verify=false", &name])).unwrap();
    assert_eq!(told["Digest"], pushed.fetched.digest.as_str());
    assert_eq!(told["Architecture"], "amd64");
    assert!(!buildah_pull(home.path(), &name).is_empty());
}

#[test]
fn the_same_again_uploads_nothing_2() {
    let registry = Real::open();
    let desk = Desk::default();
    let first = desk.push(&registry.at, &filter()).unwrap();
    assert_eq!(registry.requests("PUT", "/blobs/uploads/"), 2);
    let again = desk.push(&registry.at, &filter()).unwrap();
    assert_eq!(again.fetched.digest, first.fetched.digest);
    assert_eq!((again.uploaded, again.bytes), (0, 0));
    assert_eq!(again.tags, [("v1".to_owned(), Tagged::Unchanged)]);
    assert_eq!(registry.requests("PUT", "/blobs/uploads/"), 2);
    assert_eq!(registry.requests("POST", "/blobs/uploads/"), 2);
    assert_eq!(registry.requests("PUT", "/manifests/"), 1);
}

#[test]
fn every_layout_comes_back_as_it_went_3() {
    let registry = Real::open();
    let desk = Desk::default();
    let wasm = variant(3);
    for layout in Layout::ALL {
        let image = image(layout, &wasm);
        let pushed = desk.push_as(&registry.at, &image, &[layout.name()], false).unwrap();
        let pulled = desk.pull(&registry.at, layout.name()).unwrap();
        assert_eq!(&pulled.digest, image.digest());
        let child = pulled.child.unwrap();
        let found = child.found().unwrap();
        assert_eq!(found.wasm, wasm, "byte-equal");
        assert_eq!(found.shape.name(), layout.name());
        let loads = |id: &str| consumers::judge(&pushed.fetched).iter().any(|o| o.consumer == id && o.loads);
        let cncf = layout == Layout::Cncf;
        assert_eq!(["istio", "envoy-gateway", "higress", "wkg"].map(loads), [!cncf, !cncf, !cncf, cncf]);
    }
}

#[test]
fn a_folder_goes_to_a_registry_by_other_tools_5() {
    let (registry, home) = (Real::open(), tempfile::tempdir().unwrap());
    let folder = home.path().join("layout");
    let made = image(Layout::Compat, &filter());
    Folder::at(&folder).write(&made, "v1", false).unwrap();
    let (from, to) =
        (format!("oci:{}:v1", folder.display()), format!("docker://{}/team/filter:v1", registry.at));
    skopeo(home.path(), &["copy", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
    assert_eq!(&Desk::default().pull(&registry.at, "v1").unwrap().digest, made.digest());
    // And back, into a folder that we read.
    let back = home.path().join("back");
    skopeo(home.path(), &["copy", "--src-tls-verify=false", &to, &format!("oci:{}:v1", back.display())]);
    assert_eq!(&tamis_oci::fetch(&Folder::at(&back), "v1").unwrap().digest, made.digest());
}

#[test]
fn a_layer_that_was_changed_on_disk_is_noticed_6() {
    let registry = Real::open();
    let desk = Desk::default();
    let made = image(Layout::Compat, &filter());
    desk.push_as(&registry.at, &made, &["v1"], false).unwrap();
    let layer = &made.blobs[1];
    let mut bytes = layer.bytes.clone();
    bytes[20] ^= 1;
    std::fs::write(registry.blob_file(layer.descriptor.digest.hex()), &bytes).unwrap();
    let error = desk.push_as(&registry.at, &made, &["v1"], false).unwrap_err();
    assert_eq!(error.kind, Kind::Broken, "{}", chain(&error));
    let pulled = desk.pull(&registry.at, "v1").unwrap();
    assert!(pulled.child.as_ref().unwrap().found().is_none());
    assert!(consumers::judge(&pulled).iter().all(|o| !o.loads));
}

#[test]
fn several_tags_and_none_moves_unasked_7_30() {
    let registry = Real::open();
    let desk = Desk::default();
    let (old, new) = (image(Layout::Compat, &filter()), image(Layout::Compat, &variant(30)));
    desk.push_as(&registry.at, &old, &["v1", "latest", "stable"], false).unwrap();
    let before = registry.requests("POST", "/blobs/uploads/");
    let error = desk.push_as(&registry.at, &new, &["v2", "latest"], false).unwrap_err();
    assert_eq!(error.kind, Kind::TagTaken);
    assert!(chain(&error).contains("--overwrite"));
    assert_eq!(registry.requests("POST", "/blobs/uploads/"), before, "refused before anything is sent");
    assert_eq!(desk.pull(&registry.at, "v2").unwrap_err().kind, Kind::NotFound);
    let pushed = desk.push_as(&registry.at, &new, &["v2", "latest"], true).unwrap();
    assert_eq!(pushed.tags[0].1, Tagged::New);
    assert_eq!(pushed.tags[1].1, Tagged::Moved(old.digest().clone()));
    assert_eq!(&desk.pull(&registry.at, "latest").unwrap().digest, new.digest());
    assert_eq!(&desk.pull(&registry.at, "stable").unwrap().digest, old.digest());
}

#[test]
fn a_registry_that_takes_no_pushes_32() {
    let storage = "  maintenance:\n    readonly: { enabled: true }\n".to_owned();
    let registry = Real::start(&Setup { storage, ..Setup::default() });
    let error = Desk::default().push(&registry.at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::ReadOnly, "{}", chain(&error));
    // One that fetches from another and keeps what it got.
    let first = Real::open();
    let pushed = Desk::default().push(&first.at, &filter()).unwrap();
    let more = format!("proxy: {{ remoteurl: \"http://{}\" }}", first.at);
    let mirror = Real::start(&Setup { more, ..Setup::default() });
    assert_eq!(Desk::default().pull(&mirror.at, "v1").unwrap().digest, pushed.fetched.digest);
    let error = Desk::default().push(&mirror.at, &variant(32)).unwrap_err();
    assert!(matches!(error.kind, Kind::ReadOnly | Kind::TagTaken), "{}", chain(&error));
    let made = image(Layout::Compat, &variant(32));
    let error = Desk::default().push_as(&mirror.at, &made, &["v2"], false).unwrap_err();
    assert_eq!(error.kind, Kind::ReadOnly, "{}", chain(&error));
}

#[test]
fn a_tag_that_is_none_is_refused_before_any_request_33() {
    let registry = Real::open();
    let made = image(Layout::Compat, &filter());
    for bad in ["", "-x", "a b", "x/y", &"t".repeat(129)] {
        let error = Desk::default().push_as(&registry.at, &made, &[bad], false).unwrap_err();
        assert_eq!(error.kind, Kind::BadReference);
    }
    assert_eq!(registry.requests("HEAD", "/"), 0);
}

#[test]
fn a_huge_manifest_is_told_as_such_27() {
    let wasm = filter();
    let annotations = [("x".to_owned(), "y".repeat(5 << 20))].into();
    let spec = tamis_oci::Spec { layout: Layout::Solo, wasm: &wasm, annotations, root_id: String::new() };
    let error = tamis_oci::Image::build(&spec).unwrap_err();
    assert!(chain(&error).contains("`x` (5242880 bytes)"), "{}", chain(&error));
}

#[test]
fn a_push_goes_on_after_the_registry_was_killed_19() {
    let registry = Real::open();
    let made = image(Layout::Compat, &variant(19));
    let desk = Desk { patience: Some(1), ..Desk::default() };
    assert_eq!(desk.push_as(&registry.at, &made, &["v1"], false).unwrap_err().kind, Kind::Interrupted);
    let folder = registry.kill();
    let registry = Real::start_in(folder, &Setup::default());
    let desk = Desk::default();
    assert_eq!(desk.pull(&registry.at, "v1").unwrap_err().kind, Kind::NotFound, "no half tag");
    desk.push_as(&registry.at, &made, &["v1"], false).unwrap();
    assert_eq!(&desk.pull(&registry.at, "v1").unwrap().digest, made.digest());
}

#[test]
fn nobody_answers() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let desk = Desk::default();
    let error = desk.push(&format!("127.0.0.1:{port}"), &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable, "{}", chain(&error));
    assert_eq!(desk.waits.borrow().len(), 4);
}
