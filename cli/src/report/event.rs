//! What happens in a run, for renderers.

use super::summary::{Files, Summary};
use std::path::Path;
use tamis_traffic::{Exchange, Playback, Verdict};

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The filters are started; traffic follows.
    Start {
        /// The chain.
        filters: &'a [Filter],
        /// The captures.
        files: &'a Files,
    },
    /// One exchange was played.
    Exchange(Seen<'a>),
    /// A replay is over (or was interrupted).
    Replayed(&'a Summary),
    /// One check of a traffic test is decided.
    Test(&'a TestDone),
    /// All traffic tests are over.
    Tested(&'a TestTotals),
}

/// A filter of the chain.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Its shown name.
    pub name: String,
    /// Size of the module, bytes.
    pub size: usize,
    /// ABI version that it marks.
    pub abi: String,
}

/// One exchange and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// As recorded.
    pub exchange: &'a Exchange,
    /// As played.
    pub playback: &'a Playback,
    /// The comparison.
    pub verdict: &'a Verdict,
    /// Group that it counts to.
    pub route: &'a str,
    /// Names of the chain.
    pub filters: &'a [Filter],
    /// Names of the files.
    pub files: &'a Files,
    /// The test host against Envoy, when both played.
    pub against: Option<&'a crate::verb::Against>,
    /// The faults that were injected into the replay, as asked for.
    pub injected: &'a [String],
    /// Secrets may be shown.
    pub secrets: tamis_traffic::redact::Secrets,
}

/// A decided check of a traffic test.
#[derive(Debug, Clone)]
pub struct TestDone {
    /// The test file, as shown.
    pub file: String,
    /// The check; empty when the whole test failed to run.
    pub name: String,
    /// How many exchanges it looked at.
    pub exchanges: u64,
    /// What does not hold; empty: passed.
    pub failures: Vec<Failed>,
    /// How long the test file took, seconds; with its first check only, 0 with the others.
    pub seconds: f64,
}

impl TestDone {
    /// True when everything held.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Something that does not hold.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Where in the test or the capture; may be empty.
    pub place: String,
    /// What was expected and what was found; lines.
    pub text: String,
}

/// How the tests went.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestTotals {
    /// Test files.
    pub files: u64,
    /// Checks that held.
    pub passed: u64,
    /// Checks that did not.
    pub failed: u64,
    /// Wall time in seconds, without building.
    pub seconds: f64,
    /// The run was interrupted.
    pub interrupted: bool,
}

/// A path as it is shown: from the current folder where it lies below it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let path = here.and_then(|h| path.strip_prefix(h).ok()).unwrap_or(path);
    path.display().to_string()
}
