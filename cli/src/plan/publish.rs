//! What an image says about its filter: from the package's manifest, its folder and git.

use crate::build::Built;
use crate::failure::Result;
use crate::ui::Ui;
use std::path::Path;
use std::process::Command;
use tamis_oci::Digest;
use tamis_oci::annotations::{Facts, time};

/// The variable of reproducible builds that says which time a build is of.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The facts about a filter that was built, or about a module alone. The commit and its time are named only when the
/// package's folder is exactly that commit: otherwise the image would not be the same on another machine.
///
/// # Errors
/// When `SOURCE_DATE_EPOCH` is no number.
pub(crate) fn facts(built: Option<&Built>, ui: &mut Ui) -> Result<Facts> {
    let mut facts = built.map(|b| b.about.clone()).unwrap_or_default();
    if let Some(built) = built {
        facts.root_id.clone_from(&built.settings.root_id);
        let schema = std::fs::read(built.folder.join("schema.json")).ok();
        facts.config_schema = schema.map(|s| Digest::of(&s).to_string());
        match commit(&built.folder) {
            Commit::None => {}
            Commit::Changed => ui.note("the package differs from its last commit, so the image names none"),
            Commit::At { revision, seconds } => {
                facts.revision = Some(revision);
                facts.created = Some(time(&seconds)?);
            }
        }
    }
    if let Ok(seconds) = std::env::var(EPOCH) {
        facts.created = Some(time(&seconds)?);
    }
    Ok(facts)
}

enum Commit {
    /// No git, or no commit.
    None,
    /// Files of the package are not as the commit has them.
    Changed,
    At {
        revision: String,
        seconds: String,
    },
}

fn commit(folder: &Path) -> Commit {
    let Some(head) = git(folder, &["log", "-1", "--format=%H %ct"]) else { return Commit::None };
    let Some((revision, seconds)) = head.trim().split_once(' ') else { return Commit::None };
    match git(folder, &["status", "--porcelain", "--", "."]) {
        Some(changes) if changes.trim().is_empty() => {
            Commit::At { revision: revision.to_owned(), seconds: seconds.to_owned() }
        }
        Some(_) => Commit::Changed,
        None => Commit::None,
    }
}

fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
