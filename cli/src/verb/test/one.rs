//! Runs one traffic test.

use super::of_exchanges;
use crate::args::EngineArg;
use crate::build::Request;
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::plan::{self, FilterPlan, Loaded, Source, read_file, unwrapped};
use crate::report::{Failed, Files, TestDone, shown};
use crate::ui::Ui;
use crate::verb::engine::{self, Link, Player};
use crate::verb::inject::Faults;
use crate::verb::play::start;
use crate::verb::replay::unreadable;
use std::path::{Path, PathBuf};
use tamis_host::{Clock, Engine, FilterSpec, Profile, Stage, StageBuilder};
use tamis_referee::Cluster;
use tamis_traffic::answers::{Answer, Answers};
use tamis_traffic::expect::{self, CheckResult, Checker, Config, FilterRef, Located, Spot, TrafficTest};
use tamis_traffic::inject::Exchanges;
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::redact::Secrets;
use tamis_traffic::{Exchange, Playback};

/// Runs tests and keeps filters that were built or read.
pub(super) struct Runner {
    engine: Engine,
    request: Request,
    /// Instead of what the tests name.
    instead: Option<PathBuf>,
    loaded: Vec<(Source, Loaded)>,
    which: EngineArg,
}

/// The clusters that the test has answers for; gRPC needs HTTP/2.
fn clusters(test: &TrafficTest) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for rule in &test.callouts {
        let http2 = matches!(rule.answer, Answer::Grpc(_));
        match clusters.iter_mut().find(|known| known.name == rule.cluster) {
            Some(known) => known.http2 |= http2,
            None => clusters.push(Cluster { http2, ..Cluster::new(&rule.cluster) }),
        }
    }
    clusters
}

/// Disagreements of two engines that a test shows.
const DISAGREEMENTS: usize = 5;

impl Runner {
    pub(super) fn new(engine: Engine, request: Request, instead: Option<PathBuf>, which: EngineArg) -> Self {
        Self { engine, request, instead, loaded: Vec::new(), which }
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
        let folder = path.parent().unwrap_or(Path::new("."));
        let named = plan::beside(folder, &filter.filter.value);
        // One name for one folder, so that it is built once.
        let named = std::fs::canonicalize(&named).unwrap_or(named);
        Source::find(&named).map_err(|failure| at(path, filter.filter.at, failure))
    }

    /// Plays the captures and what the test sends, and says what held.
    pub(super) fn run(&mut self, path: &Path, test: &TrafficTest, ui: &mut Ui) -> Result<Vec<TestDone>> {
        let specs = test
            .chain
            .iter()
            .map(|filter| Ok(self.spec(path, test, filter)?.0))
            .collect::<Result<Vec<_>>>()?;
        let faults = faults(path, test, &specs)?;
        let player = self.player(path, test, specs, &faults, ui)?;
        let captures: Vec<PathBuf> = test.captures.iter().map(|c| beside(path, &c.value)).collect();
        let files = Files::new(captures.iter().map(PathBuf::as_path));
        let mut checker = Checker::new(test);
        let mut engines =
            Engines { path, files: &files, compared: 0, differing: 0, failures: Vec::new(), ran: false };
        let exchanges = faults.exchanges(test.host.seed.unwrap_or(0));
        Self::play(player, path, test, &captures, exchanges, &mut checker, &mut engines)?;
        let mut results: Vec<TestDone> =
            checker.finish().into_iter().map(|result| done(path, &files, result)).collect();
        results.extend(engines.finish());
        Ok(results)
    }

    /// What plays the test.
    fn player(
        &self,
        path: &Path,
        test: &TrafficTest,
        specs: Vec<FilterSpec>,
        faults: &Faults,
        ui: &mut Ui,
    ) -> Result<Box<dyn Player>> {
        let mut theirs = Vec::new();
        if self.which != EngineArg::Wasmtime {
            let named = |rule: &&expect::CalloutRule| matches!(rule.answer, Answer::Addresses { .. });
            if let Some(rule) = test.callouts.iter().find(named) {
                let failure =
                    Failure::new(Code::BadTest, "a real Envoy cannot be given the addresses of a name");
                return Err(at(path, rule.at, failure.hint("`--engine wasmtime` plays it")));
            }
            let spot = test.host.inject.first().map(|one| one.at).unwrap_or_default();
            faults.check_for_envoy(specs.len()).map_err(|failure| at(path, spot, failure))?;
            for filter in &test.chain {
                let (spec, wasm) = self.spec(path, test, filter)?;
                theirs.push(engine::filter(&spec, wasm));
            }
            if matches!(test.host.clock, Some(expect::Clock::Fixed(_))) {
                ui.warn(&format!(
                    "Envoy lives in present time: `host.clock` of {} has no effect",
                    shown(path)
                ));
            }
        }
        let profile = self.profile(path, test)?;
        let (link, seed) = (Link::default(), test.host.seed.unwrap_or(0));
        let chain = |_: &mut Ui| {
            let mut chain = engine::chain(theirs, &profile, test.host.properties.as_ref())?;
            chain.serve(clusters(test), link.envoys(Box::new(test.clone()), faults, seed));
            Ok(chain)
        };
        let answers = link.ours(Box::new(test.clone()));
        let stage = |ui: &mut Ui| self.stage(path, test, specs, answers, faults, ui);
        engine::player(self.which, stage, chain, &link, faults.leavers(seed), &profile, ui)
    }

    fn profile(&self, path: &Path, test: &TrafficTest) -> Result<Profile> {
        let mut profile = match &test.host.profile {
            None => Profile::default(),
            Some(Located { value, at: spot }) => {
                Profile::parse(value).map_err(|e| at(path, *spot, Failure::new(Code::BadTest, e)))?
            }
        };
        profile.buffer_limit = test.host.buffer_limit.unwrap_or(profile.buffer_limit);
        Ok(profile)
    }

    fn stage(
        &self,
        path: &Path,
        test: &TrafficTest,
        specs: Vec<FilterSpec>,
        answers: Box<dyn Answers>,
        faults: &Faults,
        ui: &mut Ui,
    ) -> Result<Stage> {
        let mut builder = Stage::builder(&self.engine)
            .seed(test.host.seed.unwrap_or(0))
            .clock(match test.host.clock {
                Some(expect::Clock::Fixed(nanos)) if self.which == EngineArg::Wasmtime => Clock::Fixed(nanos),
                _ => Clock::Recorded,
            })
            .answers(answers)
            .profile(self.profile(path, test)?);
        if let Some(properties) = &test.host.properties {
            builder = builder.proxy(properties.clone());
        }
        builder = specs.into_iter().fold(builder, StageBuilder::filter);
        start(faults.put_into(builder, self.which), ui)
    }

    fn spec(&self, path: &Path, test: &TrafficTest, filter: &FilterRef) -> Result<(FilterSpec, &[u8])> {
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
        if let Some(root_id) = &filter.root_id {
            spec.root_id.clone_from(root_id);
        }
        spec.allowed_capabilities.clone_from(&filter.allowed_capabilities);
        if let Some(Located { value, .. }) = test.host.allow_on_headers_stop_iteration {
            spec.allow_on_headers_stop_iteration = value;
        }
        match &filter.config {
            Config::None => {}
            Config::Inline(text) => spec.config = unwrapped(text.clone().into_bytes())?,
            Config::File(file) => {
                let bytes = read_file(&beside(path, &file.value)).and_then(unwrapped);
                spec.config = bytes.map_err(|f| at(path, file.at, f))?;
            }
        }
        Ok((spec, &loaded.wasm))
    }

    fn play(
        mut player: Box<dyn Player>,
        path: &Path,
        test: &TrafficTest,
        captures: &[PathBuf],
        mut exchanges: Exchanges,
        checker: &mut Checker,
        engines: &mut Engines<'_>,
    ) -> Result<()> {
        // What was struck is not shown: a test says what has to hold, not what happened.
        let (mut playback, mut struck) = (Playback::default(), Vec::new());
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
                struck.clear();
                exchanges.change(&mut exchange, &mut struck);
                player.play(&exchange, &mut playback)?;
                engines.see(&exchange, player.as_ref());
                checker.see(&exchange, &playback);
            }
        }
        for (index, sent) in test.send.iter().enumerate() {
            let mut exchange = sent.exchange.clone();
            struck.clear();
            exchanges.change(&mut exchange, &mut struck);
            player.play(&exchange, &mut playback)?;
            engines.see(&exchange, player.as_ref());
            checker.see_sent(index, &exchange, &playback);
        }
        player.leave(&mut playback);
        Ok(())
    }
}

/// The check that a test has when both engines play it: that they agree.
struct Engines<'a> {
    path: &'a Path,
    files: &'a Files,
    compared: u64,
    differing: u64,
    failures: Vec<Failed>,
    ran: bool,
}

impl Engines<'_> {
    fn see(&mut self, exchange: &Exchange, player: &dyn Player) {
        let Some(against) = player.against() else { return };
        self.ran = true;
        self.compared += u64::from(against.comparable);
        if against.found.is_empty() {
            return;
        }
        self.differing += 1;
        if self.failures.len() < DISAGREEMENTS {
            let place = match exchange.place.number {
                0 => shown(self.path),
                _ => self.files.place(&exchange.place),
            };
            let lines = against.found.lines(Secrets::Redact).join("\n");
            self.failures
                .push(Failed { place, text: format!("engines disagree (wasmtime -> Envoy)\n{lines}") });
        }
    }

    fn finish(mut self) -> Option<TestDone> {
        let more = self.differing - self.failures.len() as u64;
        if more > 0 {
            let text = format!("and {} more on which they disagree", of_exchanges(more));
            self.failures.push(Failed { place: String::new(), text });
        }
        self.ran.then(|| TestDone {
            file: shown(self.path),
            name: "wasmtime and Envoy agree".to_owned(),
            exchanges: self.compared,
            failures: self.failures,
            seconds: 0.0,
        })
    }
}

/// The faults of a test, with the filters that they are for.
fn faults(path: &Path, test: &TrafficTest, specs: &[FilterSpec]) -> Result<Faults> {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let all: Vec<_> = test.host.inject.iter().map(|one| one.value.clone()).collect();
    let spot = test.host.inject.first().map(|one| one.at).unwrap_or_default();
    Faults::find(all, &names).map_err(|failure| at(path, spot, failure))
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
