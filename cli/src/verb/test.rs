//! `tamis test`.

mod find;
mod one;
mod watch;

use super::play::engine;
use crate::args::TestArgs;
use crate::build::{self, Request};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::report::{Event, Failed, Reports, TestDone, TestTotals, plural, shown};
use crate::ui::Ui;
use one::Runner;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tamis_traffic::expect::TrafficTest;

pub(super) fn run(args: &TestArgs, ui: &mut Ui) -> Result<Exit> {
    if args.watch { watch::run(args, ui) } else { once(args, ui) }
}

fn once(args: &TestArgs, ui: &mut Ui) -> Result<Exit> {
    let request =
        Request { target: args.target.clone(), remote: (&args.remote).into(), ..Request::default() };
    let paths = paths(args)?;
    let files = find::tests(&paths)?;
    if files.is_empty() {
        let named: Vec<_> = paths.iter().map(|p| format!("`{}`", p.display())).collect();
        let failure = Failure::new(Code::NothingRan, format!("no traffic test in {}", named.join(", ")));
        return Err(failure.hint("a traffic test is a `.yaml` file beside its capture"));
    }
    // All are read before any is run: a mistake in the last one should not cost a build.
    let tests = files.iter().map(|path| Ok((path, parse(path)?))).collect::<Result<Vec<_>>>()?;
    let engine = engine(ui)?;
    let mut runner = Runner::new(engine, request, args.filter.clone(), args.engine);
    for (path, test) in &tests {
        runner.prepare(path, test, ui)?;
    }
    let mut reports = Reports::open(ui, &args.report)?;
    let begin = Instant::now();
    let mut totals = TestTotals::default();
    let mut cannot = None;
    for (path, test) in &tests {
        if interrupt::asked() {
            totals.interrupted = true;
            break;
        }
        let started = Instant::now();
        let mut results = runner.run(path, test, ui).unwrap_or_else(|failure| {
            let done = could_not_run(path, &failure);
            cannot = cannot.or(Some(failure.code.exit()));
            vec![done]
        });
        if let Some(first) = results.first_mut() {
            first.seconds = started.elapsed().as_secs_f64();
        }
        totals.files += 1;
        for done in &results {
            *(if done.passed() { &mut totals.passed } else { &mut totals.failed }) += 1;
            reports.on(&Event::Test(done))?;
        }
    }
    totals.seconds = begin.elapsed().as_secs_f64();
    reports.on(&Event::Tested(&totals))?;
    reports.finish()?;
    Ok(match (totals.interrupted, cannot, totals.failed) {
        (true, ..) => Exit::Interrupted,
        (false, Some(exit), _) => exit,
        (false, None, 0) => Exit::Ok,
        (false, None, _) => Exit::Findings,
    })
}

/// Where the tests are.
fn paths(args: &TestArgs) -> Result<Vec<PathBuf>> {
    match (&args.package, args.paths.is_empty()) {
        (Some(name), true) => {
            let found = build::packages(Path::new("."), std::slice::from_ref(name))?;
            Ok(found.iter().map(|p| p.folder.join("tests")).collect())
        }
        (None, true) => default_paths(),
        (_, false) => Ok(args.paths.clone()),
    }
}

/// `tests/` of the package of this folder, of each filter package of a workspace, or of this folder.
fn default_paths() -> Result<Vec<PathBuf>> {
    let here = PathBuf::from("tests");
    if here.is_dir() && Path::new("Cargo.toml").is_file() {
        return Ok(vec![here]);
    }
    let folders = build::packages(Path::new("."), &[])?.into_iter().map(|p| p.folder.join("tests"));
    Ok(folders.filter(|f| f.is_dir()).collect())
}

fn parse(path: &Path) -> Result<TrafficTest> {
    let bytes = crate::plan::read_file(path)?;
    let text = String::from_utf8(bytes)
        .map_err(|e| Failure::because(Code::BadTest, format!("cannot read `{}`", path.display()), e))?;
    TrafficTest::parse(Path::new(&shown(path)), &text).map_err(|error| {
        let hint = error.hint.clone();
        let failure = Failure { code: Code::BadTest, error: error.into(), hints: Vec::new() };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn could_not_run(path: &Path, failure: &Failure) -> TestDone {
    let mut text = failure.headline();
    for cause in failure.causes() {
        text.push_str(&format!("\ncaused by: {cause}"));
    }
    for hint in &failure.hints {
        text.push_str(&format!("\nhint: {hint}"));
    }
    let failed = Failed { place: String::new(), text };
    TestDone { file: shown(path), name: String::new(), exchanges: 0, failures: vec![failed], seconds: 0.0 }
}

/// `3 exchanges`, for failures.
fn of_exchanges(n: u64) -> String {
    plural(n, "exchange")
}
