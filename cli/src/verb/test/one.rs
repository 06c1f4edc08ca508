//! Runs one traffic test.

use super::answers::Rules;
use super::of_exchanges;
use crate::build::Request;
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::plan::{FilterPlan, Loaded, Source, read_file};
use crate::report::{Failed, Files, TestDone, shown};
use crate::ui::Ui;
use crate::verb::play::start;
use crate::verb::replay::unreadable;
use std::path::{Path, PathBuf};
use tamis_host::{Clock, Engine, FilterSpec, Profile, Stage};
use tamis_traffic::expect::{self, CheckResult, Checker, Config, FilterRef, Located, Spot, TrafficTest};
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::{Exchange, Playback};

/// Runs tests and keeps filters that were built or read.
pub(super) struct Runner {
    engine: Engine,
    request: Request,
    /// Instead of what the tests name.
    instead: Option<PathBuf>,
    loaded: Vec<(Source, Loaded)>,
}

impl Runner {
    pub(super) fn new(engine: Engine, request: Request, instead: Option<PathBuf>) -> Self {
        Self { engine, request, instead, loaded: Vec::new() }
    }

    /// Builds or reads the filters of a test.
    pub(super) fn prepare(&mut self, path: &Path, test: &TrafficTest, ui: &mut Ui) -> Result<()> {
        for filter in &test.chain {
            let source = self.source(path, filter)?;
            if !self.loaded.iter().any(|(known, _)| *known == source) {
                let loaded = FilterPlan::new(source.clone()).load(&self.engine, &self.request, ui)?;
                self.loaded.push((source, loaded));
            }
        }
        Ok(())
    }

    fn source(&self, path: &Path, filter: &FilterRef) -> Result<Source> {
        if let Some(wasm) = &self.instead {
            return Source::find(wasm);
        }
        let named = beside(path, &filter.filter.value);
        // One name for one folder, so that it is built once.
        let named = std::fs::canonicalize(&named).unwrap_or(named);
        Source::find(&named).map_err(|failure| at(path, filter.filter.at, failure))
    }

    /// Plays the captures and what the test sends, and says what held.
    pub(super) fn run(&mut self, path: &Path, test: &TrafficTest, ui: &mut Ui) -> Result<Vec<TestDone>> {
        let stage = self.stage(path, test, ui)?;
        let captures: Vec<PathBuf> = test.captures.iter().map(|c| beside(path, &c.value)).collect();
        let files = Files::new(captures.iter().map(PathBuf::as_path));
        let mut checker = Checker::new(test);
        self.play(stage, path, test, &captures, &mut checker)?;
        Ok(checker.finish().into_iter().map(|result| done(path, &files, result)).collect())
    }

    fn stage(&self, path: &Path, test: &TrafficTest, ui: &mut Ui) -> Result<Stage> {
        let mut builder = Stage::builder(&self.engine)
            .seed(test.host.seed.unwrap_or(0))
            .clock(match test.host.clock {
                Some(expect::Clock::Fixed(nanos)) => Clock::Fixed(nanos),
                Some(expect::Clock::Recorded) | None => Clock::Recorded,
            })
            .answers(Box::new(Rules(test.clone())));
        let mut profile = Profile::default();
        if let Some(Located { value, at: spot }) = &test.host.profile {
            profile = Profile::parse(value).map_err(|e| at(path, *spot, Failure::new(Code::BadTest, e)))?;
        }
        profile.buffer_limit = test.host.buffer_limit.unwrap_or(profile.buffer_limit);
        builder = builder.profile(profile);
        if let Some(properties) = &test.host.properties {
            builder = builder.proxy(properties.clone());
        }
        for filter in &test.chain {
            let mut spec = self.spec(path, filter)?;
            if let Some(Located { value, .. }) = test.host.allow_on_headers_stop_iteration {
                spec.allow_on_headers_stop_iteration = value;
            }
            builder = builder.filter(spec);
        }
        start(builder, ui)
    }

    fn spec(&self, path: &Path, filter: &FilterRef) -> Result<FilterSpec> {
        let source = self.source(path, filter)?;
        let Some((_, loaded)) = self.loaded.iter().find(|(known, _)| *known == source) else {
            return Err(Failure::new(Code::Internal, "a filter was not prepared"));
        };
        let mut spec = loaded.spec.clone();
        if let Some(policy) = loaded.settings.policy {
            spec.policy = policy.into();
        }
        if let Some(name) = &filter.name {
            spec.name.clone_from(name);
        }
        spec.allowed_capabilities.clone_from(&filter.allowed_capabilities);
        match &filter.config {
            Config::None => {}
            Config::Inline(text) => spec.config = text.clone().into_bytes(),
            Config::File(file) => {
                spec.config = read_file(&beside(path, &file.value)).map_err(|f| at(path, file.at, f))?;
            }
        }
        Ok(spec)
    }

    fn play(
        &self,
        mut stage: Stage,
        path: &Path,
        test: &TrafficTest,
        captures: &[PathBuf],
        checker: &mut Checker,
    ) -> Result<()> {
        let mut playback = Playback::default();
        if !captures.is_empty() {
            let spot = test.captures.first().map(|c| c.at).unwrap_or_default();
            let bad = |e| at(path, spot, unreadable(e));
            let mut reader = read::open(captures, &ReadOptions::default()).map_err(bad)?;
            let mut exchange = Exchange::default();
            while reader.next(&mut exchange).map_err(bad)? {
                if interrupt::asked() {
                    return Err(Failure::new(Code::Interrupted, "interrupted"));
                }
                let halves = [exchange.request.get_mut(), exchange.response.get_mut()];
                for message in halves.into_iter().flatten() {
                    test.host.chunks.apply(&mut message.body);
                }
                stage.play(&exchange, &mut playback);
                checker.see(&exchange, &playback);
            }
        }
        for (index, sent) in test.send.iter().enumerate() {
            stage.play(&sent.exchange, &mut playback);
            checker.see_sent(index, &sent.exchange, &playback);
        }
        stage.shutdown(&mut playback);
        Ok(())
    }
}

/// A path in a test starts at the test's own folder.
fn beside(test: &Path, named: &str) -> PathBuf {
    let folder = test.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.join(named)
}

/// The failure with the place in the test that led to it.
fn at(path: &Path, spot: Spot, failure: Failure) -> Failure {
    let place = format!("{}:{}:{}", shown(path), spot.line, spot.column);
    let text = format!("{place}: {}", failure.headline());
    let causes = failure.causes();
    let error = match causes.is_empty() {
        true => anyhow::anyhow!("{text}"),
        false => anyhow::anyhow!("{}", causes.join(": ")).context(text),
    };
    Failure { code: failure.code, error, hints: failure.hints }
}

fn done(path: &Path, files: &Files, result: CheckResult) -> TestDone {
    let spot = format!("{}:{}:{}", shown(path), result.at.line, result.at.column);
    let mut failures: Vec<Failed> = Vec::new();
    if let Some(problem) = &result.problem {
        failures.push(Failed { place: spot.clone(), text: problem.clone() });
    }
    let kept = result.failures.len() as u64;
    for failure in result.failures {
        let place = match failure.place.number {
            0 => spot.clone(),
            _ => files.place(&failure.place),
        };
        failures.push(Failed { place, text: failure.to_string() });
    }
    if result.failed > kept {
        let text = format!("and {} more that fail", of_exchanges(result.failed - kept));
        failures.push(Failed { place: String::new(), text });
    }
    TestDone { file: shown(path), name: result.name, exchanges: result.matched, failures, seconds: 0.0 }
}
