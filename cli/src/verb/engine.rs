//! What plays an exchange: the test host, a real Envoy, or one against the other.

use crate::args::EngineArg;
use crate::failure::{Code, Failure, Result};
use crate::ui::Ui;
use tamis_host::{FailurePolicy, FilterSpec, Profile, Stage};
use tamis_referee::alike::{self, Disagreement};
use tamis_referee::{Chain, Error, Filter, Policy, Referee, find};
use tamis_traffic::{Exchange, Playback};

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

impl Player for Referee {
    fn play(&mut self, exchange: &Exchange, playback: &mut Playback) -> Result<()> {
        Referee::play(self, exchange, playback).map_err(failure)
    }

    /// What filters do when Envoy is told to end belongs to no exchange and is not read.
    fn leave(self: Box<Self>, playback: &mut Playback) {
        playback.clear();
    }
}

/// Envoy plays first, since its clock cannot be set; the test host then plays the same exchange in the world
/// that Envoy had, and its playback is the one that is reported.
struct Both {
    referee: Referee,
    stage: Stage,
    lived: Exchange,
    theirs: Playback,
    against: Against,
}

impl Player for Both {
    fn play(&mut self, exchange: &Exchange, playback: &mut Playback) -> Result<()> {
        self.referee.play(exchange, &mut self.theirs).map_err(failure)?;
        self.lived.clone_from(exchange);
        self.referee.relive(&mut self.lived);
        self.stage.play(&self.lived, playback);
        self.against.comparable = alike::comparable(playback, &self.theirs);
        self.against.found = alike::compare(playback, &self.theirs);
        Ok(())
    }

    fn against(&self) -> Option<&Against> {
        Some(&self.against)
    }

    fn leave(self: Box<Self>, playback: &mut Playback) {
        self.stage.shutdown(playback);
    }
}

/// Starts what `which` names. The chain is the same for both.
pub(super) fn player(
    which: EngineArg,
    stage: impl FnOnce(&mut Ui) -> Result<Stage>,
    chain: impl FnOnce() -> Chain,
    profile: &Profile,
    ui: &mut Ui,
) -> Result<Box<dyn Player>> {
    if which == EngineArg::Wasmtime {
        return Ok(Box::new(stage(ui)?));
    }
    check_version(profile, ui)?;
    if which == EngineArg::Envoy {
        ui.status("Starting", "Envoy");
        return Ok(Box::new(Referee::start(chain()).map_err(failure)?));
    }
    // First: its errors name the filter and what it logged.
    let stage = stage(ui)?;
    ui.status("Starting", "Envoy");
    let referee = Referee::start(chain()).map_err(failure)?;
    let (lived, theirs, against) = (Exchange::default(), Playback::default(), Against::default());
    Ok(Box::new(Both { referee, stage, lived, theirs, against }))
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
