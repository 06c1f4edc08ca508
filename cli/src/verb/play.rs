//! The loop: read, select, play, compare, count. Used by `replay` and `demo`.

use super::coverage::Covering;
use super::engine::Player;
use super::inject::Beside;
use crate::args::SelectArgs;
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::plan::{cache_folder, nearest};
use crate::report::{Event, Files, Filter, Reports, Seen, Summary};
use crate::ui::Ui;
use std::time::{Duration, Instant};
use tamis_host::{Engine, EngineOptions, Stage, StageBuilder, StartError, StartReason};
use tamis_traffic::read::Reader;
use tamis_traffic::redact::{self, Secrets};
use tamis_traffic::select::Where;
use tamis_traffic::{Exchange, LogLevel, Playback, Verdict, compare_into, route_into};

/// Exchanges between two looks at the clock for the progress line.
const PROGRESS_EVERY: u64 = 256;

/// Lines of a filter's log that go with a failed start.
const START_LOGS: usize = 5;

/// Which exchanges to take.
pub(super) struct Select {
    filter: Option<Where>,
    limit: u64,
}

impl Select {
    /// Reads the expression.
    pub(super) fn new(args: &SelectArgs) -> Result<Self> {
        let filter = match &args.condition {
            None => None,
            Some(text) => Some(Where::parse(text).map_err(|e| {
                let hint = e.hint();
                let failure =
                    Failure::because(Code::BadExpression, format!("cannot read the expression `{text}`"), e);
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            })?),
        };
        Ok(Self { filter, limit: args.limit.unwrap_or(u64::MAX) })
    }

    /// Whether this exchange is meant.
    pub(super) fn takes(&self, exchange: &Exchange) -> Result<bool> {
        let Some(filter) = &self.filter else { return Ok(true) };
        filter.matches(exchange).map_err(|e| {
            let text =
                format!("the expression `{}` fails at exchange #{}", filter.text(), exchange.place.number);
            Failure::because(Code::BadExpression, text, e)
        })
    }

    /// Whether so many are enough.
    pub(super) fn enough(&self, taken: u64) -> bool {
        taken >= self.limit
    }
}

/// The engine, with the cache of compiled filters; without one where the folder is not to be used.
pub(super) fn engine(ui: &mut Ui) -> Result<Engine> {
    let cached = cache_folder()
        .map(|cache| Engine::new(&EngineOptions { cache: Some(cache), ..EngineOptions::default() }));
    match cached {
        Some(Ok(engine)) => return Ok(engine),
        Some(Err(error)) => {
            let failure = Failure::because(Code::Internal, "compiled filters are not kept", error);
            ui.warn(&format!("{}: {}", failure.headline(), failure.causes().join(": ")));
        }
        None => {}
    }
    Engine::new(&EngineOptions::default())
        .map_err(|e| Failure::because(Code::Internal, "cannot start the wasm engine", e))
}

/// Starts the filters; what they log goes to stderr under `--verbose`.
pub(super) fn start(builder: StageBuilder, ui: &mut Ui) -> Result<Stage> {
    let stage = builder.build().map_err(start_failure)?;
    if ui.verbose() {
        for log in stage.start_logs() {
            ui.talk(&format!("         log start: {:?}: {}", log.level, redact::show(&log.text)));
        }
    }
    Ok(stage)
}

/// The failure for filters that do not start.
pub(super) fn start_failure(error: StartError) -> Failure {
    let (code, hint) = match &error.reason {
        StartReason::Refused => (
            Code::ConfigRefused,
            "its configuration comes from `--config`, a chain file, or the package's `config.json`",
        ),
        StartReason::Fault { .. } | StartReason::Link(_) => {
            (Code::StartFault, "`--verbose` shows what a filter logs")
        }
    };
    let mut logs: Vec<String> = error
        .logs
        .iter()
        .rev()
        .filter(|log| log.filter == error.filter)
        .take(START_LOGS)
        .map(|log| format!("{:?}: {}", log.level, redact::show(&log.text)).to_lowercase())
        .collect();
    logs.reverse();
    let lines = error.logs.iter().filter(|log| log.filter == error.filter);
    let near = lines.rev().find_map(|log| nearest_key(&String::from_utf8_lossy(&log.text)));
    let failure = match logs.is_empty() {
        true => Failure::new(code, error),
        false => Failure::because(code, error, anyhow::anyhow!("it logged {}", logs.join("; "))),
    };
    let failure = match near {
        Some(key) => failure.hint(format!("did you mean `{key}`?")),
        None => failure,
    };
    failure.hint(hint)
}

/// For a line with "unknown field `a`, expected one of `b`, `c`": the one that is meant most likely.
fn nearest_key(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("unknown field `")?;
    let mut words = rest.split('`');
    let wrong = words.next()?;
    let known: Vec<&str> = words.skip(1).step_by(2).collect();
    nearest(wrong, &known).map(|key| redact::show(key.as_bytes()).to_string())
}

/// What to play and whom to tell.
pub(super) struct Play<'a> {
    pub(super) select: &'a Select,
    pub(super) filters: &'a [Filter],
    pub(super) files: Files,
    pub(super) show: usize,
    pub(super) secrets: Secrets,
    pub(super) reports: &'a mut Reports,
    /// The faults to inject, by name, and the replay without them.
    pub(super) injected: Option<(Vec<String>, Beside)>,
    /// Which code is counted, and where that is written to.
    pub(super) covering: Option<Covering>,
}

/// How a replay went.
pub(super) struct Played {
    pub(super) summary: Summary,
    /// Captures that could not be read to their end.
    pub(super) unreadable: Vec<Failure>,
}

impl Play<'_> {
    /// Plays everything. Always comes to a summary: what cannot be read is told and left out, an interrupt
    /// ends the loop.
    pub(super) fn run(self, mut player: Box<dyn Player>, reader: &mut Reader, ui: &mut Ui) -> Result<Played> {
        let Self { select, filters, files, show, secrets, reports, injected, covering } = self;
        let (injected, mut beside) = injected.unzip();
        let injected = injected.unwrap_or_default();
        reports.on(&Event::Start { filters, files: &files })?;
        let mut summary = Summary::new(filters, &files, show);
        let mut unreadable = Vec::new();
        let (mut exchange, mut playback, mut verdict) =
            (Exchange::default(), Playback::default(), Verdict::default());
        let mut route = String::new();
        let bar = ui.progress("Replaying", None);
        let begin = Instant::now();
        let mut playing = Duration::ZERO;
        while !select.enough(summary.exchanges) {
            if interrupt::asked() {
                summary.interrupted = true;
                break;
            }
            match reader.next(&mut exchange) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let failure =
                        Failure::because(Code::BadCapture, "a capture cannot be read further", error);
                    ui.warn(&format!("{}: {}", failure.headline(), failure.causes().join(": ")));
                    unreadable.push(failure);
                    continue;
                }
            }
            if !select.takes(&exchange)? {
                summary.unselected += 1;
                continue;
            }
            if let Some(beside) = &mut beside {
                beside.before(&mut exchange);
            }
            let started = Instant::now();
            player.play(&exchange, &mut playback)?;
            playing += started.elapsed();
            if let Some(beside) = &mut beside {
                beside.after(player.as_ref(), &mut playback);
            }
            if covering.is_some() {
                // Counters use fuel too.
                playback.filters.iter_mut().for_each(|f| f.cost.fuel = 0);
            }
            compare_into(&exchange, &playback, &mut verdict);
            route_into(&exchange, &mut route);
            let seen = Seen {
                exchange: &exchange,
                playback: &playback,
                verdict: &verdict,
                route: &route,
                filters,
                files: &files,
                against: player.against(),
                injected: &injected,
                secrets,
            };
            summary.add(&seen);
            if reports.wants_exchanges() {
                reports.on(&Event::Exchange(seen))?;
            }
            if ui.verbose() {
                logs(&playback, exchange.place.number, filters, ui);
            }
            if summary.exchanges.is_multiple_of(PROGRESS_EVERY) {
                bar.set_message(format!("{} exchanges", summary.exchanges));
            }
        }
        bar.finish_and_clear();
        playback.clear();
        player.leave(&mut playback);
        summary.at_end(&playback);
        summary.coverage = covering.map(Covering::finish).transpose()?;
        summary.injected = beside.map(Beside::finish).unwrap_or_default();
        summary.seconds = begin.elapsed().as_secs_f64();
        summary.play_nanos = u64::try_from(playing.as_nanos()).unwrap_or(u64::MAX);
        summary.tally = reader.tally().clone();
        reports.on(&Event::Replayed(&summary))?;
        Ok(Played { summary, unreadable })
    }
}

fn logs(playback: &Playback, number: u64, filters: &[Filter], ui: &mut Ui) {
    for log in &playback.logs {
        let name = filters.get(log.filter).map_or("?", |f| f.name.as_str());
        let level = match log.level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        };
        ui.talk(&format!("         log #{number} {name}: {level}: {}", redact::show(&log.text)));
    }
}
