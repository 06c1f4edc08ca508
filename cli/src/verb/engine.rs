//! What plays an exchange: the test host, a real Envoy, or one against the other.

use crate::args::EngineArg;
use crate::failure::{Code, Failure, Result};
use crate::ui::Ui;
use crate::verb::inject::Faults;
use tamis_host::{FailurePolicy, FilterSpec, Profile, Stage};
use tamis_referee::alike::{self, Disagreement};
use tamis_referee::{Chain, Error, Filter, Policy, Proxy, Referee, find};
use tamis_traffic::answers::{Answers, Heard};
use tamis_traffic::inject::{Leavers, Struck};
use tamis_traffic::{CalloutKind, Exchange, Playback, PropertyValue};

/// Plays exchanges into playbacks, one after another.
pub(super) trait Player {
    /// Plays one.
    ///
    /// # Errors
    /// When the engine itself is gone; what goes wrong in an exchange is in its playback.
    fn play(&mut self, exchange: &Exchange, playback: &mut Playback) -> Result<()>;

    /// How two engines compare in the last exchange; none where only one plays.
    fn against(&self) -> Option<&Against> {
        None
    }

    /// Puts an exchange into the world in which the last one was played.
    fn relive(&self, _: &mut Exchange) {}

    /// Ends the filters.
    fn leave(self: Box<Self>, playback: &mut Playback);
}

/// The test host held against a real Envoy, for one exchange.
#[derive(Debug, Default)]
pub struct Against {
    /// Both playbacks say enough to be compared.
    pub comparable: bool,
    /// What differs.
    pub found: Disagreement,
}

impl Player for Stage {
    fn play(&mut self, exchange: &Exchange, playback: &mut Playback) -> Result<()> {
        Stage::play(self, exchange, playback);
        Ok(())
    }

    fn leave(self: Box<Self>, playback: &mut Playback) {
        self.shutdown(playback);
    }
}

/// A real Envoy, with the faults that it can be given.
struct Envoy {
    referee: Referee,
    leavers: Leavers,
    struck: Struck,
}

impl Player for Envoy {
    fn play(&mut self, exchange: &Exchange, playback: &mut Playback) -> Result<()> {
        match self.leavers.decide() {
            None => self.referee.play(exchange, playback).map_err(failure)?,
            Some((number, moment)) => {
                if self.referee.play_until_left(exchange, moment, playback).map_err(failure)? {
                    playback.injected.push(number);
                }
            }
        }
        self.struck.take(&mut playback.injected);
        Ok(())
    }

    fn relive(&self, exchange: &mut Exchange) {
        self.referee.relive(exchange);
    }

    /// What filters do when Envoy is told to end belongs to no exchange and is not read.
    fn leave(self: Box<Self>, playback: &mut Playback) {
        playback.clear();
    }
}

/// Envoy plays first, since its clock cannot be set; the test host then plays the same exchange in the world
/// that Envoy had, and its playback is the one that is reported.
struct Both {
    envoy: Envoy,
    stage: Stage,
    heard: Heard,
    lived: Exchange,
    theirs: Playback,
    against: Against,
}

impl Player for Both {
    fn play(&mut self, exchange: &Exchange, playback: &mut Playback) -> Result<()> {
        self.heard.forget();
        self.envoy.play(exchange, &mut self.theirs)?;
        self.lived.clone_from(exchange);
        self.envoy.relive(&mut self.lived);
        self.stage.play(&self.lived, playback);
        let mut calls = playback.callouts.iter().filter(|c| c.token != 0 && c.kind != CalloutKind::Resolve);
        self.envoy.referee.await_callouts(calls.clone(), &mut self.theirs);
        // A cluster that Envoy was not told of is nobody's mistake but ours.
        let told = calls.all(|callout| self.envoy.referee.knows(&callout.cluster));
        self.against.comparable = told && alike::comparable(playback, &self.theirs);
        self.against.found = match self.against.comparable {
            true => alike::compare(playback, &self.theirs),
            false => Disagreement::default(),
        };
        // The stage is answered what Envoy was, faults included.
        playback.injected.extend(&self.theirs.injected);
        playback.injected.sort_unstable();
        playback.injected.dedup();
        Ok(())
    }

    fn against(&self) -> Option<&Against> {
        Some(&self.against)
    }

    fn relive(&self, exchange: &mut Exchange) {
        self.envoy.relive(exchange);
    }

    fn leave(self: Box<Self>, playback: &mut Playback) {
        self.stage.shutdown(playback);
    }
}

/// What goes from one engine to the other, and faults on the way.
#[derive(Default)]
pub(super) struct Link {
    heard: Heard,
    struck: Struck,
}

impl Link {
    /// Answers for Envoy, some of which fail.
    pub(super) fn envoys(
        &self,
        answers: Box<dyn Answers + Send>,
        faults: &Faults,
        seed: u64,
    ) -> Box<dyn Answers + Send> {
        self.heard.note(faults.fail(answers, seed, &self.struck))
    }

    /// Answers for the test host: what Envoy got, else these.
    pub(super) fn ours(&self, answers: Box<dyn Answers>) -> Box<dyn Answers> {
        self.heard.repeat(answers)
    }
}

/// Starts what `which` names. The chain is the same for both.
pub(super) fn player(
    which: EngineArg,
    stage: impl FnOnce(&mut Ui) -> Result<Stage>,
    chain: impl FnOnce(&mut Ui) -> Result<Chain>,
    link: &Link,
    leavers: Leavers,
    profile: &Profile,
    ui: &mut Ui,
) -> Result<Box<dyn Player>> {
    if which == EngineArg::Wasmtime {
        return Ok(Box::new(stage(ui)?));
    }
    check_version(profile, ui)?;
    let envoy = |chain, ui: &mut Ui| -> Result<Envoy> {
        Ok(Envoy { referee: referee(chain, ui)?, leavers, struck: link.struck.clone() })
    };
    if which == EngineArg::Envoy {
        return Ok(Box::new(envoy(chain(ui)?, ui)?));
    }
    // First: its errors name the filter and what it logged.
    let stage = stage(ui)?;
    let envoy = envoy(chain(ui)?, ui)?;
    let heard = link.heard.clone();
    let (lived, theirs, against) = (Exchange::default(), Playback::default(), Against::default());
    Ok(Box::new(Both { envoy, stage, heard, lived, theirs, against }))
}

fn referee(chain: Chain, ui: &mut Ui) -> Result<Referee> {
    ui.status("Starting", "Envoy");
    Referee::start(chain).map_err(failure)
}

/// The chain as Envoy is told about it, without clusters.
pub(super) fn chain(
    filters: Vec<Filter>,
    profile: &Profile,
    properties: Option<&PropertyValue>,
) -> Result<Chain> {
    let mut chain = Chain::new(filters);
    if let Some(properties) = properties {
        chain.proxy = Proxy::read(properties).map_err(|error| {
            let hint = error.hint();
            Failure::new(Code::Usage, error).hint(hint)
        })?;
    }
    chain.buffer_limit = u32::try_from(profile.buffer_limit).map_err(|_| {
        let text = format!("Envoy cannot be told a buffer limit of {} bytes", profile.buffer_limit);
        Failure::new(Code::Usage, text).hint("it knows limits up to 4 GiB")
    })?;
    Ok(chain)
}

/// A filter of the test host as Envoy is told about it.
pub(super) fn filter(spec: &FilterSpec, wasm: &[u8]) -> Filter {
    Filter {
        name: spec.name.clone(),
        root_id: spec.root_id.clone(),
        vm_id: spec.vm_id.clone(),
        wasm: wasm.to_vec(),
        config: spec.config.clone(),
        vm_config: spec.vm_config.clone(),
        env: spec.env.clone(),
        policy: match spec.policy {
            FailurePolicy::Closed => Policy::Closed,
            FailurePolicy::Open => Policy::Open,
            FailurePolicy::Reload => Policy::Reload,
            FailurePolicy::LegacyOpen => Policy::LegacyOpen,
        },
        allow_on_headers_stop_iteration: spec.allow_on_headers_stop_iteration,
        allowed_capabilities: spec.allowed_capabilities.clone(),
    }
}

/// An Envoy of another version than the profile's may do otherwise, and rightly so.
fn check_version(profile: &Profile, ui: &mut Ui) -> Result<()> {
    let binary = find::binary().map_err(failure)?;
    match find::version(&binary) {
        Some(version) if version.starts_with(&format!("{}.", profile.version())) => {}
        Some(version) => ui.warn(&format!(
            "Envoy is {version}, the host profile is {}: they may differ for that reason alone",
            profile.name()
        )),
        None => ui.warn(&format!("`{} --version` names no version", binary.display())),
    }
    Ok(())
}

fn failure(error: Error) -> Failure {
    let code = if matches!(error, Error::NotFound) { Code::NoEnvoy } else { Code::EnvoyFailed };
    let hint = error.hint();
    let failure = Failure { code, error: anyhow::Error::new(error), hints: Vec::new() };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
