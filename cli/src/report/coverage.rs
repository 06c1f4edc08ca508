//! What was reached of the filters' code, for people, for programs, and as LCOV.

use super::event::shown;
use super::table::number;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tamis_host::coverage::FileCoverage;

/// Coverage of all filters of a replay.
#[derive(Debug, Clone, Default)]
pub struct CoverageSum {
    files: BTreeMap<PathBuf, FileCoverage>,
    written: String,
}

/// Of so many, so many were reached.
#[derive(Default)]
struct Reached {
    of: u64,
    hit: u64,
}

impl Reached {
    fn of(counts: impl Iterator<Item = u64>) -> Self {
        counts.fold(Self::default(), |sum, n| Self { of: sum.of + 1, hit: sum.hit + u64::from(n > 0) })
    }
}

impl CoverageSum {
    /// Empty; the details go to `path`.
    pub fn new(path: &Path) -> Self {
        Self { files: BTreeMap::new(), written: shown(path) }
    }

    /// One more filter. Two filters of one package add up.
    pub fn add(&mut self, files: BTreeMap<PathBuf, FileCoverage>) {
        for (path, file) in files {
            let mine = self.files.entry(path).or_default();
            for (line, count) in file.lines {
                let known = mine.lines.entry(line).or_default();
                *known = known.saturating_add(count);
            }
            for (line, (name, count)) in file.functions {
                let known = &mut mine.functions.entry(line).or_insert((name, 0)).1;
                *known = known.saturating_add(count);
            }
        }
    }

    fn lines(&self) -> Reached {
        Reached::of(self.files.values().flat_map(|f| f.lines.values().copied()))
    }

    fn functions(&self) -> Reached {
        Reached::of(self.files.values().flat_map(|f| f.functions.values().map(|(_, n)| *n)))
    }

    /// One line.
    pub(super) fn line(&self) -> String {
        let (lines, functions) = (self.lines(), self.functions());
        format!(
            "{} of {} functions and {} of {} lines reached, written to {}",
            number(functions.hit),
            number(functions.of),
            number(lines.hit),
            number(lines.of),
            self.written
        )
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let (lines, functions) = (self.lines(), self.functions());
        json!({
            "functions": functions.of, "functions_reached": functions.hit,
            "lines": lines.of, "lines_reached": lines.hit, "files": self.files.len(), "lcov": self.written,
        })
    }

    /// As LCOV's `geninfo` writes it (its manual, "FILES"): a record for each source file.
    pub fn lcov(&self) -> String {
        let mut out = String::new();
        for (path, file) in &self.files {
            let _ = writeln!(out, "TN:\nSF:{}", path.display());
            let names = unique(file);
            for (line, name) in &names {
                let _ = writeln!(out, "FN:{line},{name}");
            }
            for (line, name) in &names {
                let count = file.functions.get(line).map_or(0, |(_, count)| *count);
                let _ = writeln!(out, "FNDA:{count},{name}");
            }
            let functions = Reached::of(file.functions.values().map(|(_, n)| *n));
            let _ = writeln!(out, "FNF:{}\nFNH:{}", functions.of, functions.hit);
            for (line, count) in &file.lines {
                let _ = writeln!(out, "DA:{line},{count}");
            }
            let lines = Reached::of(file.lines.values().copied());
            let _ = writeln!(out, "LF:{}\nLH:{}\nend_of_record", lines.of, lines.hit);
        }
        out
    }
}

/// Names by line. LCOV takes a function of the same name in one file for the same one, so closures and copies get
/// their line behind it; a comma would end the name.
fn unique(file: &FileCoverage) -> Vec<(u32, String)> {
    let mut seen = std::collections::HashSet::new();
    let name = |(line, (name, _)): (&u32, &(String, u64))| {
        let name = name.replace(',', ";").replace(['\n', '\r'], " ");
        match seen.insert(name.clone()) {
            true => (*line, name),
            false => (*line, format!("{name} (line {line})")),
        }
    };
    file.functions.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: &[(u32, u64)], functions: &[(u32, &str, u64)]) -> BTreeMap<PathBuf, FileCoverage> {
        let functions = functions.iter().map(|(line, name, n)| (*line, ((*name).to_owned(), *n))).collect();
        [("src/a.rs".into(), FileCoverage { lines: lines.iter().copied().collect(), functions })].into()
    }

    #[test]
    fn a_record_is_what_lcov_reads_and_filters_add_up() {
        let mut sum = CoverageSum::new(Path::new("out.info"));
        sum.add(file(&[(3, 0), (4, 1)], &[(3, "a<b, c>", 0), (9, "x", 1), (12, "x", 0)]));
        sum.add(file(&[(4, 2), (5, 0)], &[]));
        let want = "TN:\nSF:src/a.rs\nFN:3,a<b; c>\nFN:9,x\nFN:12,x (line 12)\nFNDA:0,a<b; c>\nFNDA:1,x\n\
                    FNDA:0,x (line 12)\nFNF:3\nFNH:1\nDA:3,0\nDA:4,3\nDA:5,0\nLF:3\nLH:1\nend_of_record\n";
        assert_eq!(sum.lcov(), want);
        assert_eq!(sum.line(), "1 of 3 functions and 1 of 3 lines reached, written to out.info");
    }
}
