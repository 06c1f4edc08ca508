//! Rows of the conformance table, played by a real Envoy and by our host, compared as text.
//!
//! A row is `conformance/NAME.yaml`; what Envoy 1.40 does is `conformance/NAME.txt` beside it, written by
//! `BLESS=1 cargo test -p tamis-tests --test conformance` and read by a person before it is committed.
//! Envoy is played live each time, so that neither the file nor our host can drift from it. A row that says why
//! our host `deviates` has a second file, `NAME.host.txt`, with what the host does instead. The rows in
//! `conformance/sdk` and in `filters/rows` have filters on the sdk, as they ship; the others have the scripted guest.

use anyhow::Result;
use std::path::{Path, PathBuf};
use tamis_host::{Engine, EngineOptions, Module};
use tamis_tests::artifact::{self, PLAIN, WASI};
use tamis_tests::engine::{Referee, play_on_host};
use tamis_tests::lines::difference;
use tamis_tests::row::{self, Row};
use tamis_tests::tree;

/// Rows with the same filter.
struct Set {
    folder: PathBuf,
    filter: PathBuf,
}

fn guest() -> Result<Set> {
    let filter = artifact::module("tamis-guest", PLAIN)?;
    Ok(Set { folder: tree::root().join("tests/conformance"), filter })
}

fn probe() -> Result<Set> {
    let filter = artifact::shipped("tamis-probe", WASI)?;
    Ok(Set { folder: tree::root().join("tests/conformance/sdk"), filter })
}

fn kinds() -> Result<Set> {
    let filter = artifact::shipped("tamis-test-filters", WASI)?;
    Ok(Set { folder: tree::root().join("tests/filters/rows"), filter })
}

/// All rows; `ROW=66,7` plays those whose names begin so.
fn rows(folder: &Path) -> Result<Vec<(String, Row)>> {
    let only = std::env::var("ROW").unwrap_or_default();
    let wanted = |name: &str| only.split(',').any(|start| name.starts_with(start));
    tree::files(folder, ".yaml")
        .iter()
        .filter(|path| path.parent() == Some(folder))
        .map(|p| row::read(p))
        .filter(|r| r.as_ref().is_ok_and(|(name, _)| wanted(name)) || r.is_err())
        .collect()
}

fn expected(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap_or_default()
}

#[test]
fn envoy_does_what_the_table_says() -> Result<()> {
    play_in_envoy(&guest()?)
}

#[test]
fn the_host_does_what_envoy_does() -> Result<()> {
    play_on(&guest()?)
}

#[test]
fn a_filter_on_the_sdk_does_what_the_table_says_in_envoy() -> Result<()> {
    play_in_envoy(&probe()?)
}

#[test]
fn a_filter_on_the_sdk_does_the_same_on_the_host() -> Result<()> {
    play_on(&probe()?)
}

/// The crate's dispatcher stands between then (docs/decisions/0004-own-dispatcher.md).
#[test]
fn a_filter_on_the_sdk_that_was_not_linked_does_the_same_on_the_host() -> Result<()> {
    play_on(&Set { filter: artifact::module("tamis-probe", PLAIN)?, ..probe()? })
}

#[test]
fn linked_filters_of_every_kind_do_what_the_table_says_in_envoy() -> Result<()> {
    play_in_envoy(&kinds()?)
}

#[test]
fn linked_filters_of_every_kind_do_the_same_on_the_host() -> Result<()> {
    play_on(&kinds()?)
}

#[test]
fn filters_of_every_kind_that_were_not_linked_do_the_same_on_the_host() -> Result<()> {
    play_on(&Set { filter: artifact::module("tamis-test-filters", WASI)?, ..kinds()? })
}

fn play_in_envoy(set: &Set) -> Result<()> {
    let (odd, rows): (Vec<_>, Vec<_>) = rows(&set.folder)?.into_iter().partition(|(_, row)| may_crash(row));
    let mut report = Report::default();
    // What reads freed memory in Envoy crashes or not by what else lies there: such a row has a proxy of its own.
    for row in odd {
        let row = [row];
        played(set, &mut Referee::start(&row, &set.filter)?, &row, &mut report)?;
    }
    if !rows.is_empty() {
        played(set, &mut Referee::start(&rows, &set.filter)?, &rows, &mut report)?;
    }
    report.finish("Envoy");
    Ok(())
}

fn may_crash(row: &Row) -> bool {
    row.faults.iter().flatten().any(|fault| fault == "would-crash-envoy")
}

/// Plays the rows that an Envoy was started with.
fn played(set: &Set, referee: &mut Referee, rows: &[(String, Row)], report: &mut Report) -> Result<()> {
    for (name, row) in rows {
        let text = referee.play(name, row)?.text();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(set.folder.join(name).with_extension("txt"), &text)?;
        }
        report.add(name, row, &expected(&set.folder, name), &text);
    }
    Ok(())
}

fn play_on(set: &Set) -> Result<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let guest = Module::load(&engine, &std::fs::read(&set.filter)?)?;
    let mut report = Report::default();
    for (name, row) in &rows(&set.folder)? {
        let seen = play_on_host(&engine, &guest, name, row)?;
        let text = seen.text();
        let own = format!("{name}.host");
        let want = if row.deviates.is_some() { own.as_str() } else { name };
        if row.deviates.is_some() && std::env::var_os("BLESS").is_some() {
            std::fs::write(set.folder.join(format!("{own}.txt")), &text)?;
        }
        report.add(name, row, &expected(&set.folder, want), &text);
        if let Some(faults) = row.faults.as_ref().filter(|faults| **faults != seen.faults) {
            report.differences.push(format!("{name}: faults {:?}, the row says {faults:?}", seen.faults));
        }
    }
    report.finish("the host");
    Ok(())
}

#[derive(Default)]
struct Report {
    rows: usize,
    differences: Vec<String>,
}

impl Report {
    fn add(&mut self, name: &str, row: &Row, want: &str, got: &str) {
        self.rows += 1;
        if want != got {
            self.differences.push(format!("{name}: {}\n{}", row.says, difference(want, got)));
        }
    }

    fn finish(self, who: &str) {
        assert!(self.rows > 0, "there are no rows");
        assert!(
            self.differences.is_empty(),
            "{who} differs in {} of {} rows (- the table, + {who})\n\n{}",
            self.differences.len(),
            self.rows,
            self.differences.join("\n")
        );
    }
}
