//! Which lines of the filters a replay reached.

use crate::failure::{Code, Failure, Result};
use crate::report::CoverageSum;
use crate::ui::Ui;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tamis_host::coverage::{Counters, Covered};

/// The counted filters of a replay, and the file for what they say.
pub(super) struct Covering {
    path: PathBuf,
    file: BufWriter<File>,
    counters: Counters,
    /// By index in the chain.
    covered: Vec<Option<Covered>>,
}

impl Covering {
    /// Opens the file: nothing is played for a report that cannot be written. A filter of a chain that cannot be
    /// counted is left out, with a warning.
    pub(super) fn new(path: &Path, all: Vec<Option<Result<Covered>>>, ui: &mut Ui) -> Result<Self> {
        let some = all.iter().flatten().any(Result::is_ok);
        let mut covered = Vec::new();
        for one in all {
            covered.push(match one.transpose() {
                Ok(covered) => covered,
                Err(failure) if some => {
                    ui.warn(&format!("{}: {}", failure.headline(), failure.causes().join(": ")));
                    None
                }
                Err(failure) => return Err(failure),
            });
        }
        let file = File::create(path).map_err(|e| cannot_write(path, e))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), counters: Counters::new(), covered })
    }

    /// Where the stage has to count.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Writes the file. The stage must have ended.
    pub(super) fn finish(mut self) -> Result<CoverageSum> {
        let mut sum = CoverageSum::new(&self.path);
        for (filter, covered) in self.covered.iter().enumerate() {
            if let Some(covered) = covered {
                sum.add(covered.files(&self.counters.of(filter)));
            }
        }
        let written = self.file.write_all(sum.lcov().as_bytes()).and_then(|()| self.file.flush());
        written.map_err(|e| cannot_write(&self.path, e))?;
        Ok(sum)
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    Failure::because(Code::CannotWrite, format!("cannot write coverage to `{}`", path.display()), error)
}
