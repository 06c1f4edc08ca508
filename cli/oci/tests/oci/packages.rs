//! Lists of what a filter is made of: as another house reads them, and attached to images.

use crate::desk::{Desk, chain};
use crate::real::Real;
use crate::scripted::{Say, Scripted};
use crate::shelf::filter;
use cyclonedx_bom::prelude::{Bom, Validate as _};
use tamis_oci::remote::attach;
use tamis_oci::sbom::{self, Package, Parts};
use tamis_oci::sign::subject;
use tamis_oci::{Document, Kind, Store, attached, types};

fn package(name: &str, needs: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        purl: purl(name),
        licence: Some("MIT/Apache-2.0".to_owned()),
        sha256: Some("ab".repeat(32)),
        runs: name != "macro",
        needs: needs.iter().map(|n| purl(n)).collect(),
    }
}

fn purl(name: &str) -> String {
    format!("pkg:cargo/{name}@1.0.0")
}

fn parts() -> Parts {
    let mut odd = package("odd", &[]);
    (odd.licence, odd.sha256) = (Some("as you like".to_owned()), None);
    Parts {
        filter: package("hello", &["sdk", "odd", "sdk"]),
        others: vec![package("sdk", &["macro", "never-compiled"]), odd, package("macro", &[])],
    }
}

#[test]
fn another_house_reads_the_list_and_finds_nothing_wrong() {
    let bytes = sbom::write(&parts()).unwrap();
    let bom = Bom::parse_from_json(bytes.as_slice()).unwrap();
    let judged = bom.validate();
    assert!(judged.passed(), "{judged:?}");
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&value["bomFormat"], &value["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(value["metadata"]["component"]["purl"], purl("hello"));
    let names: Vec<_> = value["components"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["macro", "odd", "sdk"]);
    assert_eq!(value["components"][0]["scope"], "excluded");
    assert_eq!(value["components"][1]["licenses"][0]["license"]["name"], "as you like");
    assert_eq!(value["components"][2]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    let needs = &value["dependencies"];
    assert_eq!(needs[0], serde_json::json!({"ref": purl("hello"), "dependsOn": [purl("odd"), purl("sdk")]}));
    assert_eq!(needs[3], serde_json::json!({"ref": purl("sdk"), "dependsOn": [purl("macro")]}));
    assert_eq!(sbom::count(&bytes).unwrap(), 3);
}

#[test]
fn the_same_packages_give_the_same_bytes_in_any_order() {
    let mut other = parts();
    other.others.reverse();
    other.filter.needs.reverse();
    assert_eq!(sbom::write(&other).unwrap(), sbom::write(&parts()).unwrap());
    // Nothing in it is of today or of this machine.
    let text = String::from_utf8(sbom::write(&parts()).unwrap()).unwrap();
    assert!(!text.contains("timestamp") && !text.contains("serialNumber"));
}

#[test]
fn a_list_is_attached_once_and_comes_back_35() {
    let (registry, desk) = (Real::open(), Desk::default());
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let open = desk.open(&registry.at).unwrap();
    assert_eq!(attached(&open, &digest), Ok(vec![]));
    let bytes = sbom::write(&parts()).unwrap();
    let made = sbom::artifact(subject(&open, "v1").unwrap(), bytes.clone()).unwrap();
    assert_eq!(attach(&open, &made), Ok(true));
    let puts = registry.requests("PUT", "/");
    assert_eq!(attach(&open, &made), Ok(false));
    assert_eq!(registry.requests("PUT", "/"), puts, "nothing is sent again");
    let all = attached(&open, &digest).unwrap();
    assert_eq!(all.iter().map(|a| a.kind.as_str()).collect::<Vec<_>>(), [types::CYCLONEDX]);
    assert_eq!(sbom::read(&open, &all).unwrap(), [(made.digest().clone(), bytes)]);
    // The tag's entry says what it is, for those who list without reading.
    let (list, said) = open.manifest(&format!("sha256-{}", digest.hex())).unwrap();
    let Ok(Document::Index(list)) = Document::read(&list, said.as_deref()) else { panic!("{said:?}") };
    assert_eq!(list.manifests[0].artifact_type.as_deref(), Some(types::CYCLONEDX));
    // A second list stands beside it.
    let other = sbom::write(&Parts { others: vec![], ..parts() }).unwrap();
    let other = sbom::artifact(subject(&open, "v1").unwrap(), other).unwrap();
    assert_eq!(attach(&open, &other), Ok(true));
    assert_eq!(attached(&open, &digest).unwrap().len(), 2);
}

/// An index may list the type of the empty configuration, as old clients wrote it: the artifact itself is asked.
#[test]
fn a_list_is_found_under_a_wrong_type_36() {
    let (registry, desk) = (Real::open(), Desk::default());
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let open = desk.open(&registry.at).unwrap();
    let made = sbom::artifact(subject(&open, "v1").unwrap(), sbom::write(&parts()).unwrap()).unwrap();
    attach(&open, &made).unwrap();
    let (bytes, _) = open.manifest(&format!("sha256-{}", digest.hex())).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    for wrong in [format!("\"artifactType\":\"{}\"", types::OCI_EMPTY), "\"unknown\":\"1\"".to_owned()] {
        let changed = text.replace(&format!("\"artifactType\":\"{}\"", types::CYCLONEDX), &wrong);
        assert_ne!(changed, text);
        let list = changed.into_bytes();
        let mut there = false;
        let registry = Scripted::start(move |asked| {
            if asked.is("PUT", "/manifests/sha256:") {
                there = true;
                return Say::Adorned(vec![("oci-subject".into(), "yes".into())]);
            }
            if !asked.is("GET", "/referrers/") {
                return Say::Honest;
            }
            let body = if there { list.clone() } else { br#"{"schemaVersion":2,"manifests":[]}"#.to_vec() };
            let told = crate::scripted::Told { status: 200, headers: vec![], body };
            Say::Instead(told.header("content-type", types::OCI_INDEX))
        });
        desk.push(&registry.at, &filter()).unwrap();
        let open = desk.open(&registry.at).unwrap();
        attach(&open, &made).unwrap();
        let all = attached(&open, &digest).unwrap();
        assert_eq!(all[0].kind, types::CYCLONEDX, "{wrong}");
        assert_eq!(sbom::read(&open, &all).unwrap().len(), 1);
    }
}

#[test]
fn what_is_no_list_is_not_attached() {
    let (registry, desk) = (Real::open(), Desk::default());
    desk.push(&registry.at, &filter()).unwrap();
    let open = desk.open(&registry.at).unwrap();
    for bad in [&b"{}"[..], b"<bom/>", b"[]"] {
        let error = sbom::artifact(subject(&open, "v1").unwrap(), bad.to_vec()).unwrap_err();
        assert_eq!(error.kind, Kind::BadImage, "{}", chain(&error));
    }
    let huge = vec![b' '; usize::try_from(sbom::MAX_SBOM).unwrap() + 1];
    assert!(chain(&sbom::count(&huge).unwrap_err()).contains("more than"));
}

#[test]
fn a_tag_that_holds_an_image_is_left_alone_35() {
    let (registry, desk) = (Real::open(), Desk::default());
    let digest = desk.push(&registry.at, &filter()).unwrap().fetched.digest;
    let tag = format!("sha256-{}", digest.hex());
    let other = crate::shelf::image(tamis_oci::Layout::Compat, &crate::shelf::variant(35));
    desk.push_as(&registry.at, &other, &[&tag], false).unwrap();
    let open = desk.open(&registry.at).unwrap();
    let made = sbom::artifact(subject(&open, "v1").unwrap(), sbom::write(&parts()).unwrap()).unwrap();
    let error = attach(&open, &made).unwrap_err();
    assert_eq!(error.kind, Kind::BadImage, "{}", chain(&error));
    assert_eq!(&desk.pull(&registry.at, &tag).unwrap().digest, other.digest());
}
