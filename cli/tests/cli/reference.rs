//! The generated pages of the book: commands from `--help`, codes from `tamis explain`.
//!
//! `TAMIS_UPDATE=1` in the environment writes them anew.

use crate::support::{Place, docs};
use clap::Command;
use std::fmt::Write;

const MADE: &str =
    "<!-- Made by a test of `cli` (`TAMIS_UPDATE=1`): what stands here is what the program says. -->\n";

/// Holds a page against what was made.
#[track_caller]
fn page(name: &str, made: &str) {
    let path = docs().join("reference").join(name);
    if std::env::var_os("TAMIS_UPDATE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{} is old: run the test again with TAMIS_UPDATE=1", path.display());
}

/// The help of a command and of all below it.
fn help(place: &Place, command: &Command, words: &[&str], out: &mut String) {
    let ran = place.run(&[words, &["--help"]].concat());
    ran.exit(0);
    let title = [&["tamis"], words].concat().join(" ");
    write!(out, "\n## `{title}`\n\n```text\n{}\n```\n", ran.out.trim_end()).unwrap();
    for below in command.get_subcommands().filter(|c| c.get_name() != "help") {
        help(place, below, &[words, &[below.get_name()]].concat(), out);
    }
}

#[test]
fn commands() {
    let mut out = format!("# Commands\n\n{MADE}");
    help(&Place::new(), &tamis_cli::args::command(), &[], &mut out);
    page("commands.md", &out);
}

#[test]
fn codes() {
    let place = Place::new();
    let explain = |code: &str| {
        let ran = place.run(&["explain", code]);
        ran.exit(0);
        ran.out
    };
    let mut out = format!(
        "# Codes\n\n{MADE}\nAn error is shown as `error[CODE]`, a fault of a filter by its kind. `tamis explain CODE` says the same.\n\n\
         ## Exit codes\n\n```text\n{}```\n",
        explain("exit-codes")
    );
    let list = place.run(&["explain"]);
    list.exit(0);
    for line in list.out.lines() {
        match line.strip_prefix("  ") {
            Some(code) => {
                let text = explain(code);
                let text = text.strip_prefix(&format!("{code}\n\n")).unwrap();
                write!(out, "\n### `{code}`\n\n{text}").unwrap();
            }
            None if matches!(line, "errors" | "kinds of faults") => {
                write!(out, "\n## {}{}\n", line[..1].to_uppercase(), &line[1..]).unwrap();
            }
            None => {}
        }
    }
    page("codes.md", &out);
}
