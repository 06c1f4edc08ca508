//! `push`, `pull` and `inspect oci://` against a real registry (`cargo xtask setup`).

use crate::guests;
use crate::proxies;
use crate::real::{Real, Setup, program, skopeo};
use crate::support::{Place, Ran};
use std::io::Write as _;
use std::process::Stdio;

pub(crate) const PASSWORD: &str = "s3cret-of-alice";

/// A folder with a filter and no logins but those that a test makes.
pub(crate) fn place() -> Place {
    let place = Place::new();
    place.wasm("f.wasm", &guests::pass());
    place
}

/// `tamis` as a user without any login.
pub(crate) fn run(place: &Place, args: &[&str], vars: &[(&str, &str)], stdin: &str) -> Ran {
    let mut command = place.command(args);
    for name in [
        "DOCKER_CONFIG",
        "REGISTRY_AUTH_FILE",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "SOURCE_DATE_EPOCH",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", place.path()).envs(vars.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no stdin may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let ran = Ran::of(args, child.wait_with_output().unwrap());
    for secret in [PASSWORD, "YWxpY2U6czNjcmV0LW9mLWFsaWNl"] {
        assert!(
            !ran.out.contains(secret) && !ran.err.contains(secret),
            "a password in the output of {args:?}"
        );
    }
    ran
}

#[test]
fn push_inspect_pull() {
    let (registry, place) = (Real::open(), place());
    let name = format!("oci://{}/team/hello:v1", registry.at);
    let push = ["push", &name, "--filter", "f.wasm", "--tag", "latest", "--format", "json"];
    let pushed = run(&place, &push, &[], "").exit(0).event("pushed");
    assert_eq!(pushed["tags"][1]["tag"], "latest");
    assert_eq!(pushed["tags"][0]["state"], "new");
    assert_eq!(pushed["uploaded"], 2);
    assert_eq!(pushed["layout"], "compat");
    let again = run(&place, &push, &[], "");
    again.exit(0).talks("Unchanged");
    let again = again.event("pushed");
    assert_eq!((&again["digest"], &again["uploaded"]), (&pushed["digest"], &0.into()));

    let inspected = run(&place, &["inspect", &name], &[], "");
    inspected.exit(0).says("istio          loads it\n").says("wkg            does not load it: ");
    inspected.says("[wkg-config-type]").says(pushed["wasm"]["sha256"].as_str().unwrap());
    run(&place, &["inspect", &name, "--target", "istio@1.29"], &[], "").exit(0).says("istio 1.29  loads it");
    run(&place, &["inspect", &name, "--target", "wkg"], &[], "").exit(1);
    run(&place, &["inspect", &name, "--target", "istio@0.9"], &[], "").exit(2).talks("1.29");

    run(&place, &["pull", &name], &[], "").exit(0).says("sha256:").talks("Wrote");
    let wasm = std::fs::read(place.path().join("f.wasm")).unwrap();
    assert_eq!(std::fs::read(place.path().join("hello.wasm")).unwrap(), wasm);
    run(&place, &["pull", pushed["pinned"].as_str().unwrap()], &[], "").exit(0).talks("Unchanged");
    place.file("hello.wasm", "mine");
    run(&place, &["pull", &name], &[], "").exit(2).talks("--overwrite");
    assert_eq!(std::fs::read(place.path().join("hello.wasm")).unwrap(), b"mine");
    run(&place, &["pull", &name, "--overwrite"], &[], "").exit(0);
    let none = format!("{}/team/none:v1", registry.at);
    run(&place, &["pull", &none], &[], "").exit(6).talks("error[image-not-found]");
}

#[test]
fn a_tag_moves_only_when_asked_30() {
    let (registry, place) = (Real::open(), place());
    let name = format!("{}/hello:v1", registry.at);
    run(&place, &["push", &name, "--filter", "f.wasm"], &[], "").exit(0);
    let other = ["push", &name, "--filter", "f.wasm", "--annotation", "a=b"];
    run(&place, &other, &[], "").exit(6).talks("error[tag-taken]").talks("--overwrite");
    run(&place, &[&other[..], &["--overwrite"]].concat(), &[], "").exit(0).says("(moved from sha256:");
}

#[test]
fn two_layouts_in_one_push_4() {
    let (registry, place) = (Real::open(), place());
    let name = format!("{}/hello:v1", registry.at);
    run(&place, &["push", &name, "--filter", "f.wasm", "--also", "cncf"], &[], "").exit(0);
    let wkg = ["inspect", &format!("oci://{name}-wasm"), "--target", "wkg"];
    run(&place, &wkg, &[], "").exit(0).says("layout     cncf");
    run(&place, &["pull", &format!("{name}-wasm")], &[], "").exit(0);
    let read = |file: &str| std::fs::read(place.path().join(file)).unwrap();
    assert_eq!(read("hello.wasm"), read("f.wasm"));
}

#[test]
fn without_a_network_5() {
    let (registry, place) = (Real::open(), place());
    // Nothing answers there, and nothing is asked.
    let name = "localhost:1/hello:v1";
    let dry = run(&place, &["push", name, "--filter", "f.wasm", "--dry-run", "--format", "json"], &[], "");
    let dry = dry.exit(0).event("would-push");
    let written =
        run(&place, &["push", name, "--filter", "f.wasm", "--layout", "out", "--format", "json"], &[], "");
    let written = written.exit(0).event("written");
    assert_eq!(dry["digest"], written["digest"]);
    run(&place, &["inspect", "oci://localhost:1/hello:v1", "--layout", "out"], &[], "")
        .exit(0)
        .says("loads it");
    run(&place, &["pull", name, "--layout", "out", "--out", "back.wasm"], &[], "").exit(0);
    assert_eq!(
        std::fs::read(place.path().join("back.wasm")).unwrap(),
        std::fs::read(place.path().join("f.wasm")).unwrap()
    );
    let out = format!("oci:{}:v1", place.path().join("out").display());
    let there = format!("docker://{}/hello:v1", registry.at);
    skopeo(place.path(), &["copy", "--dest-tls-verify=false", &out, &there]);
    let pulled = run(&place, &["pull", &format!("{}/hello:v1", registry.at), "--format", "json"], &[], "");
    assert_eq!(pulled.exit(0).event("pulled")["digest"], written["digest"]);
    place.file("taken/x", "x");
    run(&place, &["push", name, "--filter", "f.wasm", "--layout", "taken"], &[], "")
        .exit(5)
        .talks("error[image-files]");
}

#[test]
fn logins_from_stdin_and_the_environment_9_10() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    std::fs::write(&path, "alice:$2b$05$abcdefghijklmnopqrstuu6SdaO4ukD0CMVhd6QMDsUq2nFZ4PrJS\n").unwrap();
    let more = format!("auth: {{ htpasswd: {{ realm: lab, path: \"{}\" }} }}", path.display());
    let (registry, place) = (Real::start_in(folder, &Setup { more, ..Setup::default() }), place());
    let name = format!("{}/hello:v1", registry.at);
    let push = ["push", &name, "--filter", "f.wasm", "--verbose"];
    let nobody = run(&place, &push, &[], "");
    nobody.exit(6).talks("error[not-logged-in]").talks("docker login").talks(".docker/config.json");
    let stdin = [&push[..], &["--username", "alice", "--password-stdin"]].concat();
    run(&place, &stdin, &[], "wrong\n").exit(6).talks("error[wrong-login]");
    run(&place, &stdin, &[], "").exit(2).talks("stdin has no password");
    run(&place, &stdin, &[], &format!("{PASSWORD}\n")).exit(0);
    let vars = [("TAMIS_USERNAME", "alice"), ("TAMIS_PASSWORD", PASSWORD)];
    run(&place, &["pull", &name], &vars, "").exit(0);
    run(&place, &["pull", &name], &vars[..1], "").exit(2).talks("TAMIS_PASSWORD");
    place.file(".docker/config.json", "{");
    run(&place, &["pull", &name], &[], "").exit(5).talks("error[bad-credentials]");
}

#[test]
fn what_no_proxy_loads_is_not_published() {
    let place = place();
    place.wasm("core.wasm", "(module)").file("text.wasm", "hello");
    for file in ["core.wasm", "text.wasm"] {
        let ran = run(&place, &["push", "localhost:1/hello", "--filter", file, "--dry-run"], &[], "");
        ran.exit(5).talks("error[bad-push-module]");
    }
    let ran = run(
        &place,
        &["push", "localhost:1/hello:v1", "--filter", "f.wasm"],
        &[("SOURCE_DATE_EPOCH", "soon")],
        "",
    );
    ran.exit(2).talks("SOURCE_DATE_EPOCH");
}

#[test]
fn a_package_tells_what_it_is_2() {
    let place = Place::new();
    place.run(&["new", "hello"]).exit(0);
    let git = |args: &[&str]| {
        let mut command = place.program("git", args);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("GIT_COMMITTER_DATE", "@1700000000 +0000")
            .env("GIT_AUTHOR_DATE", "@1700000000 +0000");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", place.path());
        assert!(command.status().unwrap().success(), "git {args:?}");
    };
    let push = ["push", "localhost:1/hello:v1", "--filter", "hello", "--layout", "out", "--overwrite"];
    let annotations = || {
        run(&place, &push, &[], "").exit(0);
        let pull = ["pull", "localhost:1/hello:v1", "--layout", "out", "--overwrite", "--format", "json"];
        run(&place, &pull, &[], "").exit(0).event("pulled")["annotations"].clone()
    };
    let image = |name: &str| format!("org.opencontainers.image.{name}");
    let before = annotations();
    assert_eq!(before[image("title")], "hello");
    assert_eq!(before[image("version")], "0.1.0");
    assert_eq!(before["tamis.abi"], "0.2.1");
    assert!(before["tamis.sdk"].as_str().is_some_and(|v| v.starts_with("0.")), "{before}");
    assert_eq!(before[image("revision")], serde_json::Value::Null);
    git(&["init", "hello"]);
    place.file("hello/.gitignore", "target\n");
    git(&["-C", "hello", "add", "."]);
    git(&["-C", "hello", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "x"]);
    let committed = annotations();
    assert_eq!(committed[image("created")], "2023-11-14T22:13:20Z");
    assert_eq!(committed[image("revision")].as_str().map(str::len), Some(40));
    place.file("hello/README.md", "changed");
    assert_eq!(annotations()[image("revision")], serde_json::Value::Null);
}

/// A proxy that connects to this address, whatever it is asked for; gives its own.
fn proxy(to: &str) -> String {
    use std::io::{BufRead as _, BufReader, copy};
    use std::net::{Shutdown, TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, to) = (listener.local_addr().unwrap().to_string(), to.to_owned());
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut server = TcpStream::connect(&to).unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                assert!(line.starts_with("CONNECT registry.invalid:5000 "), "{line}");
                while line.trim() != "" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut back, mut out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = copy(&mut back, &mut out);
                    let _ = out.shutdown(Shutdown::Both);
                });
                let _ = copy(&mut reader, &mut server);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    at
}

#[test]
fn proxies_of_the_environment_are_used_26() {
    let (registry, place) = (Real::open(), place());
    let proxy = format!("http://{}", proxy(&registry.at));
    // No name server knows it: what arrives came through the proxy.
    let push = ["push", "registry.invalid:5000/hello:v1", "--filter", "f.wasm", "--plain-http"];
    run(&place, &push, &[("HTTP_PROXY", &proxy), ("NO_PROXY", "other.invalid")], "").exit(0);
    run(&place, &push, &[("HTTP_PROXY", &proxy), ("NO_PROXY", "registry.invalid")], "")
        .exit(6)
        .talks("error[registry-unreachable]");
    // What is on this machine is asked directly.
    run(&place, &["pull", &format!("{}/hello:v1", registry.at)], &[("HTTP_PROXY", "http://127.0.0.1:1")], "")
        .exit(0);
}

/// From nothing to a real Envoy that serves traffic with the module that came from the registry.
#[test]
fn new_build_test_push_pull_serve_8() {
    let (registry, place) = (Real::open(), Place::new());
    place.run(&["new", "hello", "--template", "header", "--set", "header=x-hello"]).exit(0);
    let hello = place.path().join("hello");
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        // A compiled module that lies there would hide a pulled one that does not compile.
        command.current_dir(&hello).env_remove("CARGO_TARGET_DIR").env("TAMIS_CACHE", "");
        if let Some(envoy) = std::env::var_os("TAMIS_ENVOY") {
            command.env("TAMIS_ENVOY", envoy);
        }
        Ran::of(args, command.output().unwrap())
    };
    let built = run(&["build"]);
    built.exit(0);
    run(&["test"]).exit(0);
    let name = format!("{}/team/hello:v1", registry.at);
    let pushed = run(&["push", &name, "--format", "json"]).exit(0).event("pushed");
    let pinned = pushed["pinned"].as_str().unwrap();
    run(&["pull", pinned, "--out", "pulled.wasm"]).exit(0);
    let read = |path: &str| std::fs::read(hello.join(path)).unwrap();
    assert!(read("pulled.wasm") == read(built.out.trim()), "byte-equal");

    let capture = "tests/captures/shop.jsonl";
    let replay = |filter: &str, engine: &str| {
        let ran = run(&[
            "replay",
            capture,
            "--filter",
            filter,
            "--config",
            "config.json",
            "--engine",
            engine,
            "--format",
            "json",
        ]);
        ran.exit(0).event("replayed")
    };
    let (local, served) = (replay(built.out.trim(), "wasmtime"), replay("pulled.wasm", "envoy"));
    assert!(local["exchanges"].as_u64() > Some(0), "{local}");
    assert_eq!(local["verdicts"], served["verdicts"]);
    let both = replay("pulled.wasm", "both");
    assert_eq!(both["engines"]["disagree"], 0, "{both}");
    assert_eq!(both["engines"]["compared"], local["exchanges"], "{both}");

    // The bootstrap that the manifest is, in a real Envoy: it does to a request what the replay says, and tells which
    // image it was.
    let file = hello.join("pulled.wasm");
    let manifest = ["manifest", pinned, "--kind", "envoy", "--code-file", file.to_str().unwrap()];
    let manifest = run(&[&manifest[..], &["--config", "config.json"]].concat());
    let mut bootstrap: serde_json::Value = serde_saphyr::from_str(&manifest.exit(0).out).unwrap();
    let (upstream, heads) = proxies::upstream();
    let port = "socket_address/port_value";
    *bootstrap.pointer_mut(&format!("/static_resources/listeners/0/address/{port}")).unwrap() = 0.into();
    let end = "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
    *bootstrap.pointer_mut(&format!("{end}/{port}")).unwrap() = upstream.into();
    let proxy = proxies::Proxy::start(bootstrap);
    assert_eq!(proxy.get("ingress"), 200);
    let head = heads.recv().unwrap();
    assert!(head.contains("\r\nx-hello: "), "{head}");
    let ask = ["status", &proxy.admin, "--filter", "hello", "--digest", pinned, "--format", "json"];
    let told = run(&ask).exit(0).event("filter");
    let digest = |of: &str| {
        let all = told["digests"].as_array().unwrap();
        all.iter().find(|d| d["of"] == of).unwrap_or_else(|| panic!("{told}"))["digest"].clone()
    };
    assert_eq!(told["state"], "loaded");
    assert_eq!(digest("image"), pushed["digest"]);
    assert_eq!(digest("module"), format!("sha256:{}", pushed["wasm"]["sha256"].as_str().unwrap()));
}

#[test]
fn a_signed_filter_is_told_from_others() {
    let (registry, place) = (Real::open(), place());
    let openssl = program("openssl", "TAMIS_OPENSSL").display().to_string();
    for name in ["mine", "other"] {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
        for args in [
            &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &private][..],
            &["ec", "-in", &private, "-pubout", "-out", &public],
        ] {
            let mut command = place.program(&openssl, args);
            assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        }
    }
    let name = format!("{}/hello:v1", registry.at);
    let push = ["push", &name, "--filter", "f.wasm", "--format", "json"];
    let pushed = run(&place, &push, &[], "").exit(0).event("pushed");
    assert_eq!(pushed["signature"], serde_json::Value::Null);
    let verify = ["verify", &name, "--key", "mine.pub"];
    run(&place, &verify, &[], "").exit(1).talks("error[image-not-signed]").talks("tamis sign");
    let sign = ["sign", &name, "--key", "mine.pem", "--format", "json"];
    let signed = run(&place, &sign, &[], "").exit(0).event("signed");
    assert_eq!(signed["digest"], pushed["digest"]);
    let made = &signed["signature"]["manifest"];
    assert!(made.as_str().is_some_and(|m| m.starts_with("sha256:")), "{signed}");
    assert_eq!(signed["signature"], serde_json::json!({"state": "new", "manifest": made}));
    let again = run(&place, &sign, &[], "").exit(0).event("signed");
    assert_eq!(again["signature"], serde_json::json!({"state": "unchanged", "manifest": made}));
    let verified = [&verify[..], &["--format", "json"]].concat();
    let verified = run(&place, &verified, &[], "").exit(0).event("verified");
    assert_eq!((&verified["signatures"], &verified["key"]), (&1.into(), &signed["key"]));
    run(&place, &verify, &[], "").exit(0).says(pushed["pinned"].as_str().unwrap());
    run(&place, &["verify", &name, "--key", "other.pub"], &[], "").exit(1).talks("error[bad-signature]");
    run(&place, &["sign", &name, "--key", "mine.pub"], &[], "").exit(5).talks("error[bad-signing-key]");

    let pull = |key: &str| run(&place, &["pull", &name, "--verify", key], &[], "");
    pull("other.pub").exit(1).talks("error[bad-signature]");
    assert!(!place.path().join("hello.wasm").exists(), "nothing is written that is not verified");
    pull("mine.pub").exit(0).talks("Verified");

    let two = format!("{}/hello:v2", registry.at);
    place.file("list.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.5","version":1}"#);
    let push =
        ["push", &two, "--filter", "f.wasm", "--annotation", "a=b", "--also", "cncf", "--sign", "mine.pem"];
    let push = [&push[..], &["--sbom=list.json"]].concat();
    let ran = run(&place, &push, &[], "");
    ran.exit(0).says("signed  sha256:");
    // What is attached is signed too.
    let list = ran.out.lines().find_map(|l| l.strip_prefix("sbom    ")?.split(' ').next()).unwrap();
    let list = format!("{}/hello@{list}", registry.at);
    run(&place, &["verify", &list, "--key", "mine.pub"], &[], "").exit(0);
    for tag in ["v2", "v2-wasm"] {
        let name = format!("{}/hello:{tag}", registry.at);
        run(&place, &["verify", &name, "--key", "mine.pub"], &[], "").exit(0);
    }
    run(&place, &[&push[..], &["--dry-run"]].concat(), &[], "").exit(2);
}
