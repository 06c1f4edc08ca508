//! `tamis test --watch`: again and again, whenever a file changes.

use crate::args::TestArgs;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::report::shown;
use crate::ui::Ui;
use notify::{Event, EventKind, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How often it is looked whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(200);
/// How long nothing must change before a run: editors and version control write several files at once.
const QUIET: Duration = Duration::from_millis(100);
/// What builds write, and what is not the package's: folders and files that say nothing.
const IGNORED: [&str; 4] = ["target", ".git", "Cargo.lock", "node_modules"];

/// Runs the tests, and again after each change, until the user stops it.
///
/// # Errors
/// When no folder can be watched. What a run cannot do is told, and waited for a change of.
pub(super) fn run(args: &TestArgs, ui: &mut Ui) -> Result<Exit> {
    let failed = |e| Failure::because(Code::NoSuchFile, "cannot watch the package", e);
    let (send, changes) = channel();
    let mut watcher = notify::recommended_watcher(send).map_err(failed)?;
    let folders = folders(args)?;
    for (folder, mode) in watched(&folders) {
        watcher.watch(&folder, mode).map_err(failed)?;
    }
    loop {
        if let Err(failure) = super::once(args, ui) {
            if matches!(failure.code, Code::Interrupted) {
                return Err(failure);
            }
            ui.failure(&failure);
        }
        let names: Vec<_> = folders.iter().map(|f| shown(f)).collect();
        ui.status("Watching", &names.join(", "));
        if ui.json() {
            ui.json_line(&serde_json::json!({"event": "watching", "folders": names}))?;
        }
        if !changed(&changes, args) {
            return Ok(Exit::Interrupted);
        }
    }
}

/// Where a change matters: the packages and the tests.
fn folders(args: &TestArgs) -> Result<BTreeSet<PathBuf>> {
    let mut folders = BTreeSet::new();
    for path in super::paths(args)? {
        let folder =
            if path.is_dir() { path.clone() } else { path.parent().map(PathBuf::from).unwrap_or_default() };
        let folder =
            std::fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder })?;
        // The package that the tests belong to, else they alone.
        let package = folder.ancestors().find(|f| f.join("Cargo.toml").is_file());
        folders.insert(package.map_or_else(|| folder.clone(), PathBuf::from));
        folders.insert(folder);
    }
    if let Some(parent) = args.filter.as_deref().and_then(Path::parent) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        folders.insert(std::fs::canonicalize(parent)?);
    }
    Ok(folders)
}

/// Each folder, and all below it but what builds write: that may be a hundred thousand files.
fn watched(folders: &BTreeSet<PathBuf>) -> Vec<(PathBuf, RecursiveMode)> {
    let mut all = Vec::new();
    for folder in folders {
        all.push((folder.clone(), RecursiveMode::NonRecursive));
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() && !is_ignored(&entry.path()) {
                all.push((entry.path(), RecursiveMode::Recursive));
            }
        }
    }
    all
}

fn is_ignored(path: &Path) -> bool {
    path.components().any(|part| IGNORED.iter().any(|name| part.as_os_str() == *name))
}

/// Waits for a change that matters, and then until nothing changes. False when the user wants to stop.
fn changed(changes: &Receiver<notify::Result<Event>>, args: &TestArgs) -> bool {
    let mut is_due = false;
    loop {
        match changes.recv_timeout(if is_due { QUIET } else { LOOK }) {
            Ok(event) => is_due |= event.is_ok_and(|event| matters(&event, args)),
            Err(RecvTimeoutError::Timeout) if is_due => return true,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        if interrupt::asked() {
            return false;
        }
    }
}

/// Reading a file is no change, nor is what we write: builds, reports.
fn matters(event: &Event, args: &TestArgs) -> bool {
    let is_report = |path: &Path| {
        args.report
            .iter()
            .any(|report| path.file_name().is_some_and(|name| report.path.file_name() == Some(name)))
    };
    let is_named = |path: &Path| {
        args.filter.as_deref().and_then(Path::file_name).is_some_and(|name| path.file_name() == Some(name))
    };
    let counts = |path: &PathBuf| is_named(path) || !(is_ignored(path) || is_report(path));
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use notify::event::{AccessKind, CreateKind, ModifyKind};

    fn args(line: &[&str]) -> TestArgs {
        let cli = crate::args::Cli::parse_from(["tamis", "test"].iter().chain(line));
        match cli.verb {
            crate::args::Verb::Test(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_run_writes_and_reads_does_not_start_another() {
        let args = args(&["--watch", "--report", "junit=out.xml"]);
        let event = |kind, path: &str| matters(&Event::new(kind).add_path(path.into()), &args);
        let modified = EventKind::Modify(ModifyKind::Any);
        assert!(event(modified, "/p/src/lib.rs"));
        assert!(event(EventKind::Create(CreateKind::File), "/p/tests/new.yaml"));
        for path in ["/p/target/tamis/p.wasm", "/p/Cargo.lock", "/p/.git/index", "/p/out.xml"] {
            assert!(!event(modified, path), "{path}");
        }
        assert!(!event(EventKind::Access(AccessKind::Any), "/p/src/lib.rs"));
    }

    #[test]
    fn the_module_that_was_named_counts_wherever_it_is() {
        let args = args(&["--watch", "--filter", "target/tamis/p.wasm"]);
        let modified = EventKind::Modify(ModifyKind::Any);
        assert!(matters(&Event::new(modified).add_path("/p/target/tamis/p.wasm".into()), &args));
    }
}
