//! Injected faults of a replay: the same traffic is played without them beside it, so that what clients get can be
//! told apart.

use crate::args::EngineArg;
use crate::failure::{Code, Failure, Result};
use crate::plan::nearest;
use crate::report::{Filter, InjectedTable};
use crate::verb::engine::Player;
use tamis_host::{FailurePolicy, Stage, StageBuilder};
use tamis_traffic::answers::Answers;
use tamis_traffic::inject::{Exchanges, Failing, InjectError, Injection, Leavers, Planned, Struck, What};
use tamis_traffic::{Exchange, Playback};

/// What `--inject` says, checked against the chain.
pub(super) struct Faults {
    all: Vec<Planned>,
}

impl Faults {
    /// Reads the texts.
    pub(super) fn read(texts: &[String]) -> Result<Vec<Injection>> {
        texts.iter().map(|text| text.parse().map_err(|e| bad(text, &e))).collect()
    }

    /// Finds the filters that they name.
    pub(super) fn find(all: Vec<Injection>, filters: &[&str]) -> Result<Self> {
        let all = all.into_iter().enumerate().map(|(number, fault)| {
            let filter = filter(&fault, filters)?;
            Ok(Planned { number, fault, filter })
        });
        Ok(Self { all: all.collect::<Result<_>>()? })
    }

    /// Those that change exchanges.
    pub(super) fn exchanges(&self, seed: u64) -> Exchanges {
        let all: Vec<Injection> = self.all.iter().map(|one| one.fault.clone()).collect();
        Exchanges::new(&all, seed)
    }

    /// Their texts, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.all.iter().map(|one| one.fault.to_string()).collect()
    }

    /// Clients that leave.
    pub(super) fn leavers(&self, seed: u64) -> Leavers {
        Leavers::new(&self.all, seed)
    }

    /// Answers of which some fail.
    pub(super) fn fail(
        &self,
        answers: Box<dyn Answers + Send>,
        seed: u64,
        struck: &Struck,
    ) -> Box<dyn Answers + Send> {
        match Failing::new(&self.all, seed, answers, struck) {
            Ok(failing) => Box::new(failing),
            Err(answers) => answers,
        }
    }

    /// That a real Envoy can be given all of them.
    ///
    /// # Errors
    /// The first that it cannot be given.
    pub(super) fn check_for_envoy(&self, filters: usize) -> Result<()> {
        for Planned { fault, filter, .. } in &self.all {
            let failure = |why: &str| Failure::new(Code::BadInjection, format!("`{fault}`: {why}"));
            if fault.needs_filter() {
                let failure = failure("a real Envoy cannot be given a fault inside of a filter");
                return Err(failure.hint("`--engine wasmtime` plays it"));
            }
            if filter.is_some() && filters > 1 {
                let failure = failure("which filter makes a callout does not show in a real Envoy");
                return Err(failure.hint("leave the name of the filter out, or use `--engine wasmtime`"));
            }
        }
        Ok(())
    }

    /// Gives a stage those that act inside of it. Beside an Envoy it gets the callouts' fate from there.
    pub(super) fn put_into(&self, builder: StageBuilder, which: EngineArg) -> StageBuilder {
        let alone = which == EngineArg::Wasmtime;
        let leaves = |one: &Planned| matches!(one.fault.what, What::ClientAbort(_));
        let mine = self.all.iter().filter(|one| !one.fault.changes_exchanges() && (alone || leaves(one)));
        mine.fold(builder, |builder, one| builder.inject(one.number, one.fault.clone(), one.filter))
    }
}

fn bad(text: &str, error: &InjectError) -> Failure {
    let failure =
        Failure::because(Code::BadInjection, format!("cannot read the fault `{text}`"), error.clone());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn filter(one: &Injection, names: &[&str]) -> Result<Option<usize>> {
    let Some(wanted) = &one.filter else {
        if !one.needs_filter() || names.len() == 1 {
            return Ok(one.needs_filter().then_some(0));
        }
        let failure =
            Failure::new(Code::BadInjection, format!("`{one}` does not say which filter of the chain"));
        let first = names.first().unwrap_or(&"NAME");
        return Err(failure.hint(format!("name it behind a slash, for instance `{one}/{first}`")));
    };
    match names.iter().position(|name| name == wanted) {
        Some(index) => Ok(Some(index)),
        None => {
            let failure =
                Failure::new(Code::BadInjection, format!("`{one}`: no filter `{wanted}` in the chain"));
            Err(match nearest(wanted, names) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(format!("the chain has {}", names.join(", "))),
            })
        }
    }
}

/// The replay without the faults, and what comes of the comparison.
pub(super) struct Beside {
    stage: Stage,
    exchanges: Exchanges,
    /// The exchange as it was recorded.
    recorded: Exchange,
    plain: Playback,
    struck: Vec<usize>,
    table: InjectedTable,
}

impl Beside {
    /// `stage` is one without faults.
    pub(super) fn new(
        faults: &Faults,
        stage: Stage,
        seed: u64,
        filters: &[Filter],
        policies: &[FailurePolicy],
    ) -> Self {
        Self {
            stage,
            exchanges: faults.exchanges(seed),
            recorded: Exchange::default(),
            plain: Playback::default(),
            struck: Vec::new(),
            table: InjectedTable::new(&faults.names(), filters, policies.iter().map(|p| word(*p))),
        }
    }

    /// Puts the faults into an exchange that belong there.
    pub(super) fn before(&mut self, exchange: &mut Exchange) {
        self.recorded.clone_from(exchange);
        self.struck.clear();
        self.exchanges.change(exchange, &mut self.struck);
    }

    /// Plays the exchange as it was recorded, in the world of its playback with the faults; completes that one with
    /// what struck outside of the host, and counts.
    pub(super) fn after(&mut self, player: &dyn Player, playback: &mut Playback) {
        player.relive(&mut self.recorded);
        self.stage.play(&self.recorded, &mut self.plain);
        playback.injected.append(&mut self.struck);
        playback.injected.sort_unstable();
        playback.injected.dedup();
        self.table.add(&self.plain, playback);
    }

    /// The counts.
    pub(super) fn finish(self) -> InjectedTable {
        self.table
    }
}

fn word(policy: FailurePolicy) -> &'static str {
    match policy {
        FailurePolicy::Closed => "closed",
        FailurePolicy::Open => "open",
        FailurePolicy::Reload => "reload",
        FailurePolicy::LegacyOpen => "legacy-open",
    }
}
