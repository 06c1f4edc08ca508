//! Every template as it is scaffolded: its unit tests, its build, its traffic tests, a replay of its capture; and that
//! `cargo generate` scaffolds the same. Needs a wasm target and `cargo-generate` (`cargo xtask setup`).

use crate::support::{Place, Ran};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What filters of HTTP have; what else they export is what they need.
const ALWAYS: [&str; 5] = ["configure", "context_create", "done", "request_headers", "response_headers"];

/// Packages and what is built of them: in one place, so that what they have in common is built once.
fn ground() -> PathBuf {
    let ground = Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates");
    std::fs::create_dir_all(&ground).unwrap();
    // Above them is this repository, which has a style of its own.
    std::fs::write(ground.join("rustfmt.toml"), "").unwrap();
    ground
}

fn cargo(args: &[&str], folder: &Path) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let ran = Command::new(cargo)
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", ground().join("target"))
        .output()
        .unwrap();
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(ran.status.success(), "cargo {args:?} in {}\n{said}", folder.display());
}

/// What is done with a package, and the names of what its module exports for the host.
fn holds(package: &Path, capture: &str) -> Vec<String> {
    let place = Place::new();
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command.current_dir(package).env("CARGO_TARGET_DIR", ground().join("target"));
        if let Some(envoy) = std::env::var_os("TAMIS_ENVOY") {
            command.env("TAMIS_ENVOY", envoy);
        }
        Ran::of(args, command.output().unwrap())
    };
    cargo(&["fmt", "--check"], package);
    cargo(&["test", "--quiet"], package);
    let built = run(&["build"]);
    let wasm = std::fs::read(package.join(built.exit(0).out.trim())).unwrap();
    run(&["config", "check", "config.json"]).exit(0);
    run(&["config", "schema"]).exit(0).says("\"additionalProperties\": false");
    run(&["test"]).exit(0).says("PASS").says("0 failed");
    let capture = format!("tests/captures/{capture}");
    run(&["replay", &capture, "--callouts", &capture, "--fail-on", "never", "--format", "json"]).exit(0);
    let facts = tamis_host::inspect(&wasm).unwrap();
    let names = facts.exports.iter().filter_map(|e| e.name.strip_prefix("proxy_on_"));
    let mut names: Vec<_> = names.filter(|n| *n != "memory_allocate").map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// `tamis new`, with values of its own, then [`holds`].
fn scaffolded(template: &str, set: &[&str], capture: &str) -> Vec<String> {
    let name = format!("my-{template}");
    let package = ground().join(&name);
    // Always the same folder, so that a second run finds what it built.
    if package.exists() {
        std::fs::remove_dir_all(&package).unwrap();
    }
    let folder = package.display().to_string();
    let mut args = vec!["new", &name, "--template", template, "--dir", &folder];
    set.iter().for_each(|set| args.extend(["--set", set]));
    Place::new().run(&args).exit(0);
    assert!(package.join(".github/workflows/filter.yml").is_file());
    holds(&package, capture)
}

fn with(more: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = ALWAYS.iter().chain(more).map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_template_for_headers_holds() {
    assert_eq!(scaffolded("header", &["header=x-mine", "value=1"], "shop.jsonl"), with(&[]));
}

#[test]
fn the_template_for_routing_holds() {
    assert_eq!(scaffolded("header-routing", &["header=x-version"], "shop.jsonl"), with(&[]));
}

#[test]
fn the_template_for_auth_holds() {
    assert_eq!(scaffolded("auth", &["header=x-jwt-sub"], "shop.jsonl"), with(&[]));
}

#[test]
fn the_template_for_rate_limits_holds() {
    assert_eq!(scaffolded("rate-limit", &["header=x-jwt-sub"], "shop.jsonl"), with(&[]));
}

#[test]
fn the_template_for_callouts_holds() {
    let exports = scaffolded("callout", &["cluster=outbound.authz"], "shop.jsonl");
    assert_eq!(exports, with(&["http_call_response"]));
}

#[test]
fn the_template_for_bodies_holds() {
    let exports = scaffolded("body", &["find=OLJ"], "shop.jsonl");
    assert_eq!(exports, with(&["request_body", "request_trailers"]));
}

#[test]
fn the_template_for_connections_holds() {
    let exports = scaffolded("tcp", &["deny=flushdb"], "cache.jsonl");
    assert_eq!(exports, ["configure", "context_create", "done", "downstream_data", "new_connection"]);
}

/// Where the templates lie.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

/// `cargo generate`, off a terminal.
fn generate(args: &[&str], folder: &Path) {
    let program = std::env::var_os("TAMIS_CARGO_GENERATE").unwrap_or_else(|| "cargo-generate".into());
    let mut command = Command::new(program);
    command.args(["generate", "--silent", "--vcs", "none"]).args(args).current_dir(folder);
    // Settings of whoever runs the tests.
    command.env("CARGO_HOME", folder.join(".cargo"));
    let ran = command.output().expect("cargo-generate is there (`cargo xtask setup`)");
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(ran.status.success(), "cargo generate {args:?}\n{said}");
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), text);
            }
        }
    }
    found
}

#[test]
fn cargo_generate_scaffolds_what_tamis_scaffolds() {
    let place = Place::new();
    let sdk = std::fs::canonicalize(sources().join("../../sdk")).unwrap().display().to_string();
    let names: Vec<_> =
        std::fs::read_dir(sources()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 7);
    for template in names {
        let template = template.to_str().unwrap();
        let (ours, theirs) = (format!("our-{template}"), place.path().join("theirs").join(template));
        place.run(&["new", "mine", "--template", template, "--dir", &ours, "--sdk", &sdk]).exit(0);
        std::fs::create_dir_all(&theirs).unwrap();
        let source = sources().join(template).display().to_string();
        generate(&["--path", &source, "--name", "mine", "--define", &format!("sdk={sdk}")], &theirs);
        // TOML has two kinds of quotes.
        let plain = |mut files: BTreeMap<PathBuf, String>| {
            let manifest = files.get_mut(Path::new("Cargo.toml")).unwrap();
            *manifest = manifest.replace('\'', "\"");
            files
        };
        let (ours, theirs) = (files(&place.path().join(ours)), files(&theirs.join("mine")));
        assert_eq!(plain(theirs), plain(ours), "{template}");
    }
}

/// A repository with what a package needs of this one, as it lies here. Always in the same place, as cargo keeps it.
fn repository() -> String {
    let (root, folder) = (sources().join("../.."), ground().join("repository"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    let git = |args: &[&str], at: &Path| {
        let ran = Command::new("git").args(args).current_dir(at).output().unwrap();
        assert!(ran.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard", "--"];
    let listed = git(&[&listed[..], &["Cargo.toml", "sdk", "cli/templates"]].concat(), &root);
    for file in listed.lines().filter(|file| root.join(file).exists()) {
        std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        std::fs::copy(root.join(file), folder.join(file)).unwrap();
    }
    git(&["init", "--quiet"], &folder);
    git(&["add", "--all"], &folder);
    let who = ["-c", "user.name=tests", "-c", "user.email=tests@example.test"];
    git(&[&who[..], &["commit", "--quiet", "--message", "As it lies here"]].concat(), &folder);
    format!("file://{}", folder.display())
}

#[test]
fn what_cargo_generate_scaffolds_from_a_repository_holds() {
    let (place, package) = (Place::new(), ground().join("their-header"));
    if package.exists() {
        std::fs::remove_dir_all(&package).unwrap();
    }
    let (address, ground) = (repository(), ground().display().to_string());
    let sdk = format!("sdk={address}");
    let args = ["--git", &address, "cli/templates/header", "--name", "their-header", "--define", &sdk];
    generate(&[&args[..], &["--destination", &ground]].concat(), place.path());
    assert_eq!(holds(&package, "shop.jsonl"), with(&[]));
}
