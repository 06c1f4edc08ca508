//! What goes along with a published filter, repairs of other people's images, and images as filters, against a real
//! registry (`cargo xtask setup`).

use crate::publish::{PASSWORD, place, run};
use crate::real::{Real, skopeo};
use crate::scripted::{Say, Scripted, Told};
use crate::support::Place;
use serde_json::{Value, json};

fn read(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path().join(name)).unwrap()).unwrap()
}

/// Names with their scope, of a list.
fn names(list: &Value) -> Vec<(String, String)> {
    let field = |c: &Value, name: &str| c[name].as_str().unwrap().to_owned();
    list["components"].as_array().unwrap().iter().map(|c| (field(c, "name"), field(c, "scope"))).collect()
}

#[test]
fn a_package_is_listed_with_what_it_is_made_of() {
    let (registry, place) = (Real::open(), Place::new());
    place.run(&["new", "hello"]).exit(0);
    let name = format!("{}/team/hello:v1", registry.at);
    let push = ["push", &name, "--filter", "hello", "--sbom", "--format", "json"];
    let pushed = run(&place, &push, &[], "").exit(0).event("pushed");
    assert_eq!(pushed["sbom"]["state"], "new");
    let again = run(&place, &push, &[], "").exit(0).event("pushed");
    assert_eq!((&again["sbom"]["state"], &again["uploaded"]), (&json!("unchanged"), &json!(0)));
    assert_eq!(again["sbom"]["manifest"], pushed["sbom"]["manifest"]);

    let image = format!("oci://{name}");
    let inspect = ["inspect", &image, "--sbom", "saved.json", "--format", "json"];
    let seen = run(&place, &inspect, &[], "").exit(0).event("image");
    assert_eq!(seen["attached"][0]["type"], "application/vnd.cyclonedx+json");
    assert_eq!(seen["sboms"][0]["components"], pushed["sbom"]["components"]);
    let list = read(&place, "saved.json");
    let component = &list["metadata"]["component"];
    assert_eq!((&component["name"], &component["version"]), (&json!("hello"), &json!("0.1.0")));
    assert_eq!(component["hashes"][0]["content"], pushed["wasm"]["sha256"]);
    let names = names(&list);
    let scope = |name: &str| names.iter().find(|(n, _)| n == name).map(|(_, scope)| scope.as_str());
    assert_eq!((scope("tamis-sdk"), scope("serde")), (Some("required"), Some("required")), "{names:?}");
    // A macro helps to build; what only the tests need was never compiled.
    assert_eq!(scope("serde_derive"), Some("excluded"));
    let text = list.to_string();
    assert!(!text.contains(place.path().to_str().unwrap()), "no path of this machine");
    let serde = list["components"].as_array().unwrap().iter().find(|c| c["name"] == "serde").unwrap();
    assert!(serde["purl"].as_str().unwrap().starts_with("pkg:cargo/serde@1."));
    assert_eq!(serde["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(serde["hashes"][0]["alg"], "SHA-256");

    // `build` writes the same beside the module, for pipelines that push a file.
    let build = ["build", "--package", "hello", "--sbom", "--format", "json"];
    let mut command = place.command(&build);
    let built =
        crate::support::Ran::of(&build, command.current_dir(place.path().join("hello")).output().unwrap());
    let built = built.exit(0).event("built");
    let (wasm, cdx) = (built["path"].as_str().unwrap(), built["sbom"].as_str().unwrap());
    assert!(cdx.ends_with("hello.cdx.json"), "{cdx}");
    assert_eq!(std::fs::read(cdx).unwrap(), std::fs::read(place.path().join("saved.json")).unwrap());
    let two = format!("{}/team/hello:v2", registry.at);
    let file = format!("--sbom={cdx}");
    run(&place, &["push", &two, "--filter", wasm, &file], &[], "").exit(0).says("sbom    sha256:");
}

#[test]
fn lists_that_cannot_be_are_refused_before_anything_is_pushed() {
    let (registry, place) = (Real::open(), place());
    let name = format!("{}/hello:v1", registry.at);
    let push = ["push", &name, "--filter", "f.wasm"];
    run(&place, &[&push[..], &["--sbom"]].concat(), &[], "").exit(2).talks("--sbom=FILE");
    place.file("bad.json", "{}");
    run(&place, &[&push[..], &["--sbom=bad.json"]].concat(), &[], "").exit(5).talks("error[bad-image]");
    run(&place, &[&push[..], &["--sbom=none.json"]].concat(), &[], "").exit(5);
    assert_eq!(registry.requests("POST", "/"), 0);
    run(&place, &push, &[], "").exit(0);
    let inspect = ["inspect", &format!("oci://{name}"), "--sbom", "out.json"];
    run(&place, &inspect, &[], "").exit(6).talks("error[image-not-found]").talks("push --sbom");
    assert!(!place.path().join("out.json").exists());
}

/// A program in place of cosign that writes down how it was started, and ends with this code.
fn stand_in(place: &Place, code: i32) -> String {
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > args\nenv | grep ^COSIGN_ > vars\necho '[{{}},{{}}]'\nexit {code}\n"
    );
    let path = place.path().join(format!("cosign-{code}"));
    std::fs::write(&path, script).unwrap();
    let mut chmod = place.program("chmod", &["+x", path.to_str().unwrap()]);
    assert!(chmod.status().unwrap().success());
    path.display().to_string()
}

#[test]
fn without_a_key_an_installed_cosign_signs_and_verifies() {
    let (registry, place) = (Real::open(), place());
    let name = format!("{}/hello:v1", registry.at);
    let push = ["push", &name, "--filter", "f.wasm", "--format", "json"];
    let pushed = run(&place, &push, &[], "").exit(0).event("pushed");
    let pinned = pushed["pinned"].as_str().unwrap().trim_start_matches("oci://");
    let text = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();

    let cosign = stand_in(&place, 0);
    let vars = [("TAMIS_COSIGN", cosign.as_str())];
    let login = [&vars[..], &[("TAMIS_USERNAME", "alice"), ("TAMIS_PASSWORD", PASSWORD)]].concat();
    let sign = ["sign", &name, "--keyless", "--yes", "--format", "json"];
    let signed = run(&place, &sign, &login, "").exit(0).event("signed");
    assert_eq!(signed["signature"], json!({"state": "new", "manifest": null}), "it attached nothing");
    assert_eq!((&signed["key"], &signed["digest"]), (&Value::Null, &pushed["digest"]));
    assert_eq!(text("args"), format!("sign\n--yes\n{pinned}\n"));
    assert!(text("vars").contains(&format!("COSIGN_REGISTRY_PASSWORD={PASSWORD}")));
    assert!(!text("args").contains(PASSWORD));

    let who =
        ["--certificate-identity", "me@example.org", "--certificate-oidc-issuer", "https://login.example"];
    let verify = [&["verify", &name, "--format", "json"][..], &who].concat();
    let verified = run(&place, &verify, &vars, "").exit(0).event("verified");
    assert_eq!((&verified["signatures"], &verified["pinned"]), (&json!(2), &pushed["pinned"]));
    let args = "verify\n--output=json\n--certificate-identity=me@example.org\n--certificate-oidc-issuer=https://login.example\n";
    assert_eq!(text("args"), format!("{args}{pinned}\n"));
    for (code, want) in [(10, "image-not-signed"), (12, "bad-signature")] {
        let cosign = stand_in(&place, code);
        let ran = run(&place, &verify, &[("TAMIS_COSIGN", &cosign)], "");
        ran.exit(1).talks(&format!("error[{want}]"));
    }
    let cosign = stand_in(&place, 1);
    run(&place, &sign, &[("TAMIS_COSIGN", &cosign)], "").exit(6).talks("error[cosign-failed]");
    let none = [("TAMIS_COSIGN", "/nowhere/cosign")];
    run(&place, &sign, &none, "").exit(5).talks("error[no-cosign]").talks("--key");
    run(&place, &verify, &none, "").exit(5).talks("error[no-cosign]");
    for bad in [&["sign", &name][..], &["sign", &name, "--yes", "--key", "k"], &["verify", &name]] {
        run(&place, bad, &vars, "").exit(2);
    }
}

#[test]
fn ctrl_c_ends_an_upload_and_tells_the_registry_25() {
    let (arrived, arrives) = std::sync::mpsc::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let registry = Scripted::start(move |asked| {
        let large = |length: &str| length.parse::<usize>().is_ok_and(|l| l > 1 << 20);
        if asked.is("PUT", "/uploads/") && asked.header("content-length").is_some_and(large) {
            arrived.send(()).unwrap();
            goes_on.recv().unwrap();
        }
        Say::Honest
    });
    let place = place();
    // More than a connection holds: the rest waits until the registry reads.
    let mut wasm = std::fs::read(place.path().join("f.wasm")).unwrap();
    wasm.extend([0, 0x80, 0x80, 0x80, 0x0c, 1, b'x']);
    wasm.resize(wasm.len() + (24 << 20) - 2, 7);
    place.file("large.wasm", wasm);
    let name = format!("{}/hello:v1", registry.at);
    let mut command = place.command(&["push", &name, "--filter", "large.wasm", "--as", "solo"]);
    let mut child = command.env("HOME", place.path()).spawn().unwrap();
    arrives.recv().unwrap();
    assert!(place.program("kill", &["-INT", &child.id().to_string()]).status().unwrap().success());
    go_on.send(()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(registry.count("DELETE", "/uploads/"), 1);
    assert_eq!(registry.tag("v1"), None);
}

#[test]
fn what_a_registry_refuses_leaves_what_it_took_31() {
    let registry = Scripted::start(|asked| match asked.is("PUT", "/manifests/v1-wasm") {
        true => Say::Instead(Told::error(400, "MANIFEST_INVALID", "unknown media type")),
        false => Say::Honest,
    });
    let place = place();
    let name = format!("{}/hello:v1", registry.at);
    let ran = run(&place, &["push", &name, "--filter", "f.wasm", "--also", "cncf"], &[], "");
    ran.exit(6).says("hello:v1 (new)").talks("error[registry-refused]").talks("unknown media type");
    assert!(registry.whole("v1"));
    assert_eq!(registry.tag("v1-wasm"), None);
}

#[test]
fn an_image_that_no_mesh_loads_is_fixed() {
    let (registry, place) = (Real::open(), place());
    let at = |tag: &str| format!("{}/hello:{tag}", registry.at);
    run(&place, &["push", &at("raw"), "--filter", "f.wasm", "--as", "cncf"], &[], "").exit(0);
    let image = format!("oci://{}", at("raw"));
    run(&place, &["inspect", &image, "--target", "istio"], &[], "").exit(1);
    let puts = registry.requests("PUT", "/");
    let shown = run(&place, &["fix", &image], &[], "");
    shown.exit(0).says("[cncf-layout]: istio, envoy-gateway, higress").says("istio          loads it");
    assert_eq!(registry.requests("PUT", "/"), puts, "nothing is pushed unasked");
    let fix = ["fix", &image, "--push", &at("fixed"), "--format", "json"];
    let fixed = run(&place, &fix, &[], "").exit(0).event("pushed");
    assert_eq!(fixed["mended"][0]["rule"], "cncf-layout");
    let mended = fixed["pinned"].as_str().unwrap();
    run(&place, &["inspect", mended, "--target", "istio"], &[], "")
        .exit(0)
        .says("tamis.mended-from: sha256:");
    run(&place, &["pull", mended], &[], "").exit(0);
    let read = |name: &str| std::fs::read(place.path().join(name)).unwrap();
    assert!(read("hello.wasm") == read("f.wasm"), "byte-equal");
    // What is whole stays.
    let whole = ["fix", mended, "--push", &at("again"), "--format", "json"];
    let whole = run(&place, &whole, &[], "").exit(0).event("unchanged");
    assert_eq!(whole["digest"], fixed["digest"]);
    run(&place, &["pull", &at("again")], &[], "").exit(6);

    // A file that another tool saved, and a folder to write to.
    let tar = place.path().join("saved.tar").display().to_string();
    skopeo(
        place.path(),
        &[
            "copy",
            "--src-tls-verify=false",
            &format!("docker://{}", at("raw")),
            &format!("oci-archive:{tar}:x"),
        ],
    );
    run(&place, &["fix", "saved.tar", "--layout", "out"], &[], "").exit(0).says("[cncf-layout]");
    run(
        &place,
        &["inspect", "oci://localhost:1/hello:latest", "--layout", "out", "--target", "istio"],
        &[],
        "",
    )
    .exit(0);
    run(&place, &["fix", "out", "--as", "cncf"], &[], "").exit(0).says("[wkg-config-type]: wkg");

    place.file("text.tar", "no archive").wasm("core.wasm", "(module)");
    run(&place, &["fix", "text.tar"], &[], "").exit(5);
    run(&place, &["fix", "none.tar"], &[], "").exit(5).talks("oci://REF");
    run(&place, &["fix", &image, "--push", "r.example/x@sha256:12"], &[], "").exit(2);
    run(&place, &["fix", "out", "--push", &at("raw"), "--as", "cncf"], &[], "")
        .exit(6)
        .talks("error[tag-taken]");
}

#[test]
fn a_published_image_is_a_filter() {
    let (registry, place) = (Real::open(), place());
    let name = format!("{}/team/hello:v1", registry.at);
    let push = ["push", &name, "--filter", "f.wasm", "--format", "json"];
    let pinned = run(&place, &push, &[], "").exit(0).event("pushed")["pinned"].as_str().unwrap().to_owned();
    let capture = crate::support::boutique();
    let replay = |filter: &str| {
        let args = ["replay", &capture, "--filter", filter, "--limit", "20", "--format", "json"];
        run(&place, &args, &[], "").exit(0).event("replayed")
    };
    let local = replay("f.wasm");
    let image = format!("oci://{name}");
    let first = replay(&image);
    assert_eq!(first["verdicts"], local["verdicts"]);
    assert_eq!(first["filters"][0]["name"], "hello", "{first}");
    let blobs = registry.requests("GET", "/blobs/");
    assert_eq!(replay(&image)["verdicts"], local["verdicts"]);
    assert_eq!(registry.requests("GET", "/blobs/"), blobs, "layers come from the cache");

    // In a test and in a chain, and what was fetched before needs no registry.
    place.file(
        "t.yaml",
        format!(
            "filter: {pinned}\ncapture: {capture}\nexpect:\n- {{ name: nothing breaks, faults: none }}\n"
        ),
    );
    place.file("chain.yaml", format!("filters:\n- filter: {pinned}\n- filter: f.wasm\n"));
    drop(registry);
    assert_eq!(replay(&pinned)["verdicts"], local["verdicts"]);
    run(&place, &["replay", &capture, "--chain", "chain.yaml", "--limit", "5"], &[], "").exit(0);
    run(&place, &["test", "t.yaml"], &[], "").exit(0);
    run(&place, &["replay", &capture, "--filter", &image, "--limit", "5"], &[], "").exit(6);

    // A file in the cache that is not what its name says is not believed.
    let folder = place.path().join(".cache/images");
    for file in std::fs::read_dir(&folder).unwrap().flatten() {
        let mut bytes = std::fs::read(file.path()).unwrap();
        bytes[0] ^= 1;
        std::fs::write(file.path(), bytes).unwrap();
    }
    run(&place, &["replay", &capture, "--filter", &pinned, "--limit", "5"], &[], "").exit(6);
}

#[test]
fn what_is_no_image_is_no_filter() {
    let place = place();
    let capture = crate::support::boutique();
    run(&place, &["replay", &capture, "--filter", "oci://UPPER/x"], &[], "")
        .exit(2)
        .talks("error[bad-reference]");
}
