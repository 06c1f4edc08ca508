//! The rules of the house that no compiler holds: arrows between packages, small files, honest borders.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tamis_tests::tree;

/// What each package may use of ours outside its tests. ARCHITECTURE.md draws it.
const ARROWS: &[(&str, &[&str])] = &[
    ("tamis-abi", &[]),
    ("tamis-sdk", &["tamis-abi"]),
    ("tamis-matching", &[]),
    ("header-routing", &["tamis-sdk", "tamis-matching"]),
    ("auth", &["tamis-sdk", "tamis-matching"]),
    ("rate-limit", &["tamis-sdk", "tamis-matching"]),
    ("tamis-traffic", &[]),
    ("tamis-host", &["tamis-abi", "tamis-traffic"]),
    ("tamis-referee", &["tamis-traffic"]),
    ("tamis-oci", &[]),
    ("tamis", &["tamis-abi", "tamis-host", "tamis-oci", "tamis-traffic", "tamis-referee"]),
    ("tamis-guest", &[]),
    ("tamis-raw-header", &[]),
    ("tamis-raw-bench", &[]),
    ("tamis-migration-raw", &[]),
    ("tamis-migration-ours", &["tamis-sdk"]),
    ("tamis-probe", &["tamis-sdk"]),
    ("tamis-test-filters", &["tamis-sdk"]),
    ("xtask", &[]),
];

/// The package at the end of all arrows.
const TESTS: &str = "tamis-tests";

/// Past this many lines nobody reads a file whole.
const MAX_LINES: usize = 700;

struct Package {
    folder: PathBuf,
    /// Name, and whether it is only for tests or build scripts.
    uses: Vec<(String, bool)>,
}

fn packages() -> Result<BTreeMap<String, Package>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(tree::root())
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("`cargo metadata` gave no JSON")?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let package = |p: &Value| {
        let folder = PathBuf::from(text(&p["manifest_path"])).parent().map(PathBuf::from).unwrap_or_default();
        let uses = p["dependencies"].as_array().into_iter().flatten();
        let uses = uses.map(|d| (text(&d["name"]), !d["kind"].is_null())).collect();
        (text(&p["name"]), Package { folder, uses })
    };
    let all: BTreeMap<_, _> =
        metadata["packages"].as_array().context("no packages")?.iter().map(package).collect();
    assert!(all.contains_key(TESTS), "the workspace was not read");
    Ok(all)
}

fn sources(packages: &BTreeMap<String, Package>) -> Vec<PathBuf> {
    packages.values().flat_map(|p| tree::files(&p.folder.join("src"), ".rs")).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(tree::root()).unwrap_or(path).display().to_string()
}

#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn packages_use_only_what_the_map_allows() -> Result<()> {
    let packages = packages()?;
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, package) in packages.iter().filter(|(name, _)| *name != TESTS) {
        let Some(allowed) = arrows.get(name.as_str()) else {
            wrong.push(format!("{name} is not on the map"));
            continue;
        };
        for (used, aside) in &package.uses {
            let ours = packages.contains_key(used);
            let fine = allowed.contains(&used.as_str());
            // A test may use what is further on, but never what stands at the end.
            let end = used == TESTS || used == "xtask";
            if ours && !fine && (!aside || end) {
                wrong.push(format!("{name} -> {used}"));
            }
        }
    }
    none("arrows that ARCHITECTURE.md does not have", &wrong);
    Ok(())
}

#[test]
fn outside_packages_stay_where_they_belong() -> Result<()> {
    // Which of our packages may use it as a plain dependency.
    let borders: [(&str, &[&str]); 5] = [
        ("wasmtime", &["tamis-host"]),
        ("proxy-wasm", &["tamis-sdk", "tamis-raw-header", "tamis-raw-bench", "tamis-migration-raw"]),
        ("ureq", &["tamis-oci"]),
        ("clap", &["tamis", "xtask"]),
        ("anyhow", &["tamis", TESTS, "xtask"]),
    ];
    let mut wrong = Vec::new();
    for (name, package) in &packages()? {
        for (outside, allowed) in borders {
            let uses = package.uses.iter().any(|(used, aside)| used == outside && !aside);
            if uses && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{name} -> {outside}"));
            }
        }
    }
    none("dependencies on the wrong side of a border", &wrong);
    Ok(())
}

#[test]
fn sources_are_small_and_say_what_they_are() -> Result<()> {
    let packages = packages()?;
    let sources = sources(&packages);
    assert!(sources.len() > 50, "only {} sources were found", sources.len());
    let long = |path: &PathBuf| {
        let lines = read(path).lines().count();
        (lines > MAX_LINES).then(|| format!("{}: {lines} lines", shown(path)))
    };
    let all = packages.values().flat_map(|p| tree::files(&p.folder, ".rs"));
    none("files above 700 lines", &all.collect::<Vec<_>>().iter().filter_map(long).collect::<Vec<_>>());
    let silent = |path: &PathBuf| (!read(path).starts_with("//!")).then(|| shown(path));
    none("sources without a `//!` sentence", &sources.iter().filter_map(silent).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn public_faces_name_only_our_types() -> Result<()> {
    let packages = packages()?;
    let host = tree::files(&packages["tamis-host"].folder.join("src"), ".rs");
    none("public items of the host that name wasmtime", &foreign(&host, "wasmtime"));
    let seam = Path::new("host").join("wasm.rs");
    let sdk = tree::files(&packages["tamis-sdk"].folder.join("src"), ".rs");
    assert!(sdk.iter().any(|p| p.ends_with(&seam)), "the seam of the sdk has moved");
    let outside = |p: &&PathBuf| !p.ends_with(&seam) && code(&read(p)).contains("proxy_wasm");
    none(
        "files of the sdk that name proxy_wasm outside its seam",
        &sdk.iter().filter(outside).map(|p| shown(p)).collect::<Vec<_>>(),
    );
    none("public items of the seam that name proxy_wasm", &foreign(&sdk, "proxy_wasm"));
    Ok(())
}

/// Public items in these files whose signature names the crate, or something imported from it.
fn foreign(files: &[PathBuf], outside: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in files {
        let text = code(&read(path));
        let mut names = vec![outside.to_owned()];
        for import in text.split("use ").filter_map(|u| u.strip_prefix(&format!("{outside}::"))) {
            let list = import.split(';').next().unwrap_or_default();
            names.extend(words(list).filter(|w| w.starts_with(char::is_uppercase)).map(str::to_owned));
        }
        for (at, _) in text.match_indices("pub ") {
            let alone = text[..at].lines().last().is_none_or(|line| line.trim().is_empty());
            let item = text[at..].split(['{', ';', '=']).next().unwrap_or_default();
            if alone && words(item).any(|w| names.iter().any(|n| n == w)) {
                found.push(format!("{}: {}", shown(path), item.trim()));
            }
        }
    }
    found
}

/// Without comments.
fn code(text: &str) -> String {
    text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty())
}

#[test]
fn the_scan_for_foreign_types_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.rs");
    let hits = |text: &str| {
        std::fs::write(&path, text).unwrap();
        foreign(std::slice::from_ref(&path), "wasmtime").len()
    };
    assert_eq!(hits("pub fn a() -> wasmtime::Engine {"), 1);
    assert_eq!(hits("use wasmtime::{Engine, Store};\n    pub store: Store<()>,\n}"), 1);
    assert_eq!(hits("use wasmtime::Engine;\npub struct Engine2 {\n    engine: Engine,\n}"), 0);
    assert_eq!(hits("pub(crate) fn a() -> wasmtime::Engine {\n// pub wasmtime\n"), 0);
}

/// What authors touch is shown in use; a doctest compiles it.
#[test]
fn every_type_of_the_sdk_has_an_example() -> Result<()> {
    let packages = packages()?;
    let folder = &packages.get("tamis-sdk").context("no sdk")?.folder;
    // What `export!` uses, and no author.
    let hidden = ["schema.rs", "named.rs"].map(|name| folder.join("src").join(name));
    let (mut found, mut silent) = (0, Vec::new());
    for path in tree::files(&folder.join("src"), ".rs").into_iter().filter(|path| !hidden.contains(path)) {
        let text = read(&path);
        let mut shows = false;
        for line in text.lines() {
            if ["pub struct ", "pub enum ", "pub trait "].iter().any(|start| line.starts_with(start)) {
                found += 1;
                if !shows {
                    silent.push(format!("{}: {line}", shown(&path)));
                }
            }
            let is_above = line.starts_with("///") || line.starts_with("#[");
            shows = is_above && (shows || line.starts_with("/// ```"));
        }
    }
    assert!(found > 50, "only {found} types were found");
    none("types of the sdk without an example", &silent);
    Ok(())
}

#[test]
fn no_file_knows_a_machine() -> Result<()> {
    let listed = Command::new("git").arg("ls-files").current_dir(tree::root()).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    // Put together here, or this file would be found.
    let machines = ["work", "root", "home", "tmp"].map(|top| format!("/{top}/"));
    let texts = [".rs", ".toml", ".md", ".yaml", ".yml", ".json", ".sh", "run"];
    let mut found = Vec::new();
    for file in listed.lines().filter(|f| texts.iter().any(|t| f.ends_with(t)) && !f.contains("captures/")) {
        let text = read(&tree::root().join(file));
        for (number, line) in text.lines().enumerate() {
            // Only at the start of a path: the same words may stand inside a URL.
            let absolute = machines.iter().any(|m| {
                line.match_indices(m.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}/".contains(c))
                })
            });
            if absolute {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none("paths of a machine", &found);
    Ok(())
}
