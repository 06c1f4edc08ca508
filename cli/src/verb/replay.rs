//! `tamis replay`.

use super::coverage::Covering;
use super::engine::{self, Link, player};
use super::inject::{Beside, Faults};
use super::play::{Play, Select, engine, start};
use super::services;
use crate::args::{EngineArg, FailOn, ReplayArgs};
use crate::build::Request;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::plan::{self, FilterPlan, HostPlan, Settings, Source, config_bytes};
use crate::report::{Files, Filter, Reports, Summary};
use crate::ui::Ui;
use std::path::Path;
use tamis_host::{Clock, StageBuilder};
use tamis_traffic::Kind;
use tamis_traffic::answers::{Answers, Nobody};
use tamis_traffic::read::{self, ReadOptions, Reader};
use tamis_traffic::redact::Secrets;

pub(super) fn run(args: &ReplayArgs, ui: &mut Ui) -> Result<Exit> {
    let select = Select::new(&args.select)?;
    let faults = Faults::read(&args.inject)?;
    if args.coverage.is_some() && args.engine == EngineArg::Envoy {
        let failure = Failure::new(Code::Usage, "a real Envoy does not count coverage");
        return Err(failure.hint("with `--engine both` the test host counts, and Envoy plays beside it"));
    }
    let plans = plans(args)?;
    // Before anything is built: a wrong path should not cost a minute.
    let mut reader = open(&args.captures)?;
    let engine = engine(ui)?;
    let coverage = args.coverage.is_some();
    let request = Request {
        target: args.target.clone(),
        remote: (&args.remote).into(),
        coverage,
        ..Request::default()
    };
    let mut loaded = Vec::new();
    for plan in &plans {
        loaded.push(plan.load(&engine, &request, ui)?);
    }
    let settings = match loaded.as_slice() {
        [one] => one.settings.clone(),
        _ => Settings::default(),
    };
    let mut host = HostPlan::resolve(&args.host, &settings)?;
    if args.engine != EngineArg::Wasmtime && host.clock != Clock::Recorded {
        ui.warn("Envoy lives in present time: `--clock` has no effect");
        host.clock = Clock::Recorded;
    }
    let (mut specs, mut covered) = (Vec::new(), Vec::new());
    let (mut filters, mut theirs) = (Vec::new(), Vec::new());
    for (mut one, plan) in loaded.into_iter().zip(&plans) {
        if let (Some(policy), None) = (host.policy, plan.policy) {
            one.spec.policy = policy;
        }
        one.spec.allow_on_headers_stop_iteration |= host.allow_on_headers_stop_iteration;
        filters.push(Filter {
            name: one.spec.name.clone(),
            size: one.size,
            abi: one.spec.module.facts().abi.to_string(),
        });
        if args.engine != EngineArg::Wasmtime {
            theirs.push(engine::filter(&one.spec, &one.wasm));
        }
        covered.push(one.covered);
        specs.push(one.spec);
    }
    let names: Vec<&str> = filters.iter().map(|f| f.name.as_str()).collect();
    let faults = Faults::find(faults, &names)?;
    if args.engine != EngineArg::Wasmtime {
        faults.check_for_envoy(names.len())?;
    }
    let recorded = (!args.callouts.is_empty()).then(|| services::recorded(&args.callouts, ui)).transpose()?;
    let answers = || -> Box<dyn Answers + Send> {
        recorded.clone().map_or_else(|| Box::new(Nobody) as _, |recorded| Box::new(recorded) as _)
    };
    let builder =
        || specs.iter().cloned().fold(host.builder(&engine).answers(answers()), StageBuilder::filter);
    let link = Link::default();
    let covering = args.coverage.as_deref().map(|path| Covering::new(path, covered, ui)).transpose()?;
    let stage = |ui: &mut Ui| {
        let mut builder = builder().answers(link.ours(answers()));
        if let Some(covering) = &covering {
            builder = builder.coverage(covering.counters());
        }
        start(faults.put_into(builder, args.engine), ui)
    };
    let chain = |ui: &mut Ui| {
        let mut chain = engine::chain(theirs, &host.profile, host.properties.as_ref())?;
        if let Some(recorded) = &recorded {
            let clusters = services::clusters(&args.captures, &select, builder(), recorded.clone(), ui)?;
            chain.serve(clusters, link.envoys(answers(), &faults, host.seed));
        }
        Ok(chain)
    };
    let leavers = faults.leavers(host.seed);
    let player = player(args.engine, stage, chain, &link, leavers, &host.profile, ui)?;
    let injected = match args.inject.is_empty() {
        true => None,
        false => {
            let policies: Vec<_> = specs.iter().map(|s| s.policy).collect();
            let plain = start(builder(), ui)?;
            Some((faults.names(), Beside::new(&faults, plain, host.seed, &filters, &policies)))
        }
    };
    let mut reports = Reports::open(ui, &args.report)?;
    let play = Play {
        select: &select,
        filters: &filters,
        files: Files::new(reader.files()),
        show: args.show,
        secrets: if args.secrets { Secrets::Show } else { Secrets::Redact },
        reports: &mut reports,
        injected,
        covering,
    };
    let played = play.run(player, &mut reader, ui)?;
    reports.finish()?;
    if played.summary.interrupted {
        return Ok(Exit::Interrupted);
    }
    if failed(&played.summary, &args.fail_on) {
        return Ok(Exit::Findings);
    }
    if let Some(failure) = played.unreadable.into_iter().next() {
        return Err(failure);
    }
    if played.summary.exchanges == 0 {
        return Err(nothing_ran(played.summary.unselected));
    }
    Ok(Exit::Ok)
}

/// Which filters, from the arguments.
fn plans(args: &ReplayArgs) -> Result<Vec<FilterPlan>> {
    if let Some(path) = &args.chain {
        return plan::Chain::read(path);
    }
    let config = |text: &Option<String>| text.as_deref().map(config_bytes).transpose();
    let root_id = args.root_id.clone();
    if args.filters.is_empty() {
        let config = config(&args.package_config)?;
        return Ok(vec![FilterPlan { config, root_id, ..FilterPlan::default() }]);
    }
    if root_id.is_some() && args.filters.len() > 1 {
        let failure = Failure::new(Code::Usage, "`--root-id` is for one filter, and there are several");
        return Err(failure.hint("a file for `--chain` gives each filter its own `root-id`"));
    }
    let plan = |(filter, text): &(String, Option<String>)| {
        let source = Source::find(Path::new(filter))?;
        Ok(FilterPlan { config: config(text)?, root_id: root_id.clone(), ..FilterPlan::new(source) })
    };
    args.filters.iter().map(plan).collect()
}

/// Opens captures.
pub(super) fn open(captures: &[std::path::PathBuf]) -> Result<Reader> {
    read::open(captures, &ReadOptions::default()).map_err(unreadable)
}

/// The failure for a capture.
pub(super) fn unreadable(error: read::ReadError) -> Failure {
    let code = match &error {
        read::ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Code::NoSuchFile
        }
        _ => Code::BadCapture,
    };
    let hint = error.hint();
    Failure { code, error: anyhow::Error::new(error), hints: Vec::new() }.hint(hint)
}

/// The failure for a run without any exchange.
pub(super) fn nothing_ran(unselected: u64) -> Failure {
    match unselected {
        0 => Failure::new(Code::NothingRan, "no exchange was played: the captures hold none"),
        n => Failure::new(Code::NothingRan, "no exchange was played: none matches `--where`")
            .hint(format!("{n} exchanges were looked at; `tamis capture stats` shows what there is")),
    }
}

fn failed(summary: &Summary, fail_on: &[FailOn]) -> bool {
    if summary.engines.differing > 0 && !fail_on.contains(&FailOn::Never) {
        return true;
    }
    fail_on.iter().any(|what| match what {
        FailOn::Changed => summary.verdicts.of(Kind::Changed) > 0,
        FailOn::Answered => summary.verdicts.of(Kind::Answered) > 0,
        FailOn::Broke => summary.broke(),
        FailOn::Faults => summary.broke() || !summary.faults.is_empty(),
        FailOn::Never => false,
    })
}
