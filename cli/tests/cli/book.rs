//! The book is true: its pages are listed, its links lead somewhere, and what stands in its blocks works.
//!
//! Every line behind `$` in a `console` block is run by a shell, page by page, with the real `tamis` on the path. What
//! stands below it must be in the output, line by line; `…` stands for any number of lines.

use crate::support::{Place, boutique, docs, real};
use std::path::{Path, PathBuf};
use std::process::Command;
use tamis_traffic::Exchange;
use tamis_traffic::expect::TrafficTest;
use tamis_traffic::read::{self, ReadOptions};

/// Commands that are not run here, with the reason.
const ELSEWHERE: [(&str, &str); 5] = [
    ("cargo generate", "from a clone that the reader has: the tests of templates run it"),
    ("cargo xtask", "a chore of this repository: minutes long, or what runs this very test"),
    ("cargo install --path cli", "writes outside of the test's folder"),
    ("tamis status", "asks a proxy: the tests of `status` start real ones"),
    ("genhtml", "a tool of others, which reads what the tests of coverage read"),
];

/// A registry in examples that nobody has: the tests of publishing run the same commands with a real one.
const NOBODYS: &str = "registry.example";

/// Captures that pages speak of as the reader's own.
const RECORDINGS: [&str; 3] = ["my-recording.json", "recording.json", "shop.jsonl"];

/// Pages beside the folder, which readers meet first.
const OUTSIDE: [&str; 2] = ["../README.md", "../cli/templates/header/README.md"];

/// All pages of the book, and those outside.
fn pages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = OUTSIDE.iter().map(|page| docs().join(page)).collect();
    for folder in ["", "reference", "decisions"] {
        let entries = std::fs::read_dir(docs().join(folder)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        found.extend(files.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    found.sort();
    found
}

fn text(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()))
}

/// The blocks of a kind, without their fences and their common indentation.
fn blocks(markdown: &str, kind: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let body = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
        let body: Vec<&str> = body.map(|line| line.get(indent..).unwrap_or_default()).collect();
        if fence == kind {
            blocks.push(body.join("\n") + "\n");
        }
    }
    blocks
}

#[test]
fn every_page_is_listed() {
    let summary = text(&docs().join("SUMMARY.md"));
    for page in pages() {
        let Ok(name) = page.strip_prefix(docs()) else { continue };
        let name = name.display().to_string();
        if name.starts_with("..") || name == "SUMMARY.md" {
            continue;
        }
        assert!(summary.contains(&format!("({name})")), "docs/SUMMARY.md does not list {name}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let folder = page.parent().unwrap();
        for link in text(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if link.contains("://") || link.contains(char::is_whitespace) || path.is_empty() {
                continue;
            }
            seen += 1;
            assert!(folder.join(path).exists(), "{}: no `{path}`", page.display());
        }
    }
    assert!(seen > 20, "{seen} links were found");
}

/// Blocks of YAML that are no traffic tests, by how they begin, with what tries them.
const OTHER_YAML: [(&str, &str); 2] = [
    ("apiVersion: networking.istio.io/", "tests/tests/recording.rs"),
    ("# tap.yaml", "tests/tests/recording.rs"),
];

/// A block in YAML is a traffic test, or the part of one that the page speaks of.
#[test]
fn traffic_tests_are_traffic_tests() {
    let mut seen = 0;
    for page in pages() {
        for mut block in blocks(&text(&page), "yaml") {
            if OTHER_YAML.iter().any(|(start, _)| block.starts_with(start)) {
                continue;
            }
            seen += 1;
            let has = |block: &str, keys: &[&str]| keys.iter().any(|key| format!("\n{block}").contains(key));
            if !has(&block, &["\nfilter:", "\nchain:"]) {
                block.push_str("filter: .\n");
            }
            if !has(&block, &["\nexpect:", "\nsend:"]) {
                block.push_str("expect: [{ name: fine, faults: none }]\n");
            }
            if !has(&block, &["\ncapture:", "\nsend:"]) {
                block.push_str("capture: shop.jsonl\n");
            }
            TrafficTest::parse(&page, &block).unwrap_or_else(|e| panic!("{}: {e}\n{block}", page.display()));
        }
    }
    assert!(seen >= 5, "{seen} traffic tests were found");
}

/// A block in JSON is a recording in our own form.
#[test]
fn recordings_are_read() {
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&text(&page), "json") {
            let bytes = std::io::Cursor::new(block.clone().into_bytes());
            let mut reader = read::from_reader(bytes, &ReadOptions::default()).unwrap();
            let mut exchange = Exchange::default();
            while reader.next(&mut exchange).unwrap() {
                seen += 1;
            }
            assert_eq!(reader.tally().skipped_total(), 0, "{}\n{block}", page.display());
        }
    }
    assert!(seen > 0);
}

/// An example in Rust is part of something that is compiled: a doc example, a test, a template.
#[test]
fn examples_in_rust_are_compiled() {
    let root = docs().join("..");
    let mut sources = String::new();
    for folder in ["sdk/src", "sdk/tests", "cli/templates", "filters", "tests"] {
        gather(&root.join(folder), &mut sources);
    }
    let plain = |text: &str| {
        let line = |line: &str| {
            line.trim_start().trim_start_matches("//!").trim_start_matches("///").trim().to_owned()
        };
        text.lines().map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    let sources = plain(&sources);
    for page in pages() {
        for block in blocks(&text(&page), "rust") {
            assert!(sources.contains(&plain(&block)), "{}: compiled nowhere:\n{block}", page.display());
        }
    }
}

fn gather(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            gather(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&text(&path));
        }
    }
}

#[test]
fn commands_do_what_the_pages_say() {
    // One target folder: what packages have in common is built once.
    let target = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for page in pages() {
        let blocks = blocks(&text(&page), "console");
        if blocks.is_empty() {
            continue;
        }
        let mut session = Session::new(&page, target.path());
        // The page is about a filter that the reader has.
        if !blocks.concat().contains("tamis new") {
            session.run("tamis new mine", &[]);
            session.run("cd mine", &[]);
        }
        for block in &blocks {
            seen += session.play(block);
        }
    }
    assert!(seen > 5, "{seen} commands were run");
}

/// A shell in an empty folder.
struct Session {
    page: PathBuf,
    place: Place,
    folder: PathBuf,
    target: PathBuf,
}

impl Session {
    fn new(page: &Path, target: &Path) -> Self {
        let place = Place::new();
        let folder = place.path().to_owned();
        Self { page: page.to_owned(), place, folder, target: target.to_owned() }
    }

    /// Runs the commands of a block; gives how many.
    fn play(&mut self, block: &str) -> usize {
        let joined = block.replace("\\\n", " ");
        let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in joined.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command, Vec::new())),
                (None, Some((_, output))) => output.push(line),
                (None, None) => panic!("{}: output before a command: {line}", self.page.display()),
            }
        }
        let here = |command: &str| {
            !command.contains(NOBODYS) && !ELSEWHERE.iter().any(|(start, _)| command.starts_with(start))
        };
        commands.retain(|(command, _)| here(command));
        commands.iter().for_each(|(command, output)| self.run(command, output));
        commands.len()
    }

    fn run(&mut self, command: &str, want: &[&str]) {
        self.bring(command);
        let script =
            format!("{command}\ncode=$?\npwd > '{}'\nexit $code", self.place.path().join(".pwd").display());
        let mut shell: Command = self.place.program("sh", &["-c", &script]);
        let own = Path::new(env!("CARGO_BIN_EXE_tamis")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths([own.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
        shell.current_dir(&self.folder).env("PATH", path).env("CARGO_TARGET_DIR", &self.target);
        if let Some(envoy) = std::env::var_os("TAMIS_ENVOY") {
            shell.env("TAMIS_ENVOY", envoy);
        }
        let output = shell.output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let all = format!("{}: `{command}`\n{}", self.page.display(), said.concat());
        assert!(output.status.success(), "{all}");
        let mut lines = said.iter().flat_map(|text| text.lines());
        for want in want.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && *line != "…") {
            assert!(lines.any(|line| line.trim() == want), "no line `{want}` in {all}");
        }
        self.folder = text(&self.place.path().join(".pwd")).trim().into();
    }

    /// Puts what a command speaks of where it looks for it.
    fn bring(&self, command: &str) {
        for name in RECORDINGS.into_iter().filter(|name| command.split_whitespace().any(|word| word == *name))
        {
            std::fs::copy(boutique(), self.folder.join(name)).unwrap();
        }
        if command.split_whitespace().any(|word| word == "chain.yaml") {
            let filter = |name: &str| {
                let config =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(name).with_extension("json");
                format!(
                    "  - name: {name}\n    filter: {}\n    config: {}\n",
                    real(name).display(),
                    config.display()
                )
            };
            let chain = format!("filters:\n{}{}", filter("header-routing"), filter("auth"));
            std::fs::write(self.folder.join("chain.yaml"), chain).unwrap();
        }
    }
}
