//! A unit test speaks for what ships: every recorded exchange, played natively by `tamis_sdk::testing` and as linked wasm
//! by the test host, in the same time and with the same seed, gives the same playback.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;
use tamis_cli::build::link;
use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_sdk::Filter;
use tamis_sdk::testing::{self, Message, Played, Proxy, Setup};
use tamis_tests::artifact::{self, WASI};
use tamis_tests::tree;
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::{Exchange, LogLevel, Outcome, Playback};

#[allow(unreachable_pub, reason = "a package of its own")]
#[path = "../../cli/templates/header/src/lib.rs"]
#[rustfmt::skip]
mod header;

/// Differences that are shown.
const SHOWN: usize = 5;
const SEED: u64 = 7;
/// How long before its first exchange a recording's filters have started (docs/host.md).
const LEAD: Duration = Duration::from_secs(5);

/// What one configuration of a filter came to over all captures.
#[derive(Debug, Default)]
struct Tally {
    played: usize,
    answered: usize,
    changed: usize,
    differences: Vec<String>,
}

fn configuration(path: impl AsRef<Path>) -> Result<Value> {
    let path = tree::root().join(path);
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}

fn play_all<F: Filter>(wasm: &Path, config: &Value) -> Result<Tally> {
    let (engine, config) = (Engine::new(&EngineOptions::default())?, config.to_string());
    let module = Module::load(&engine, &link(&std::fs::read(wasm)?)?.wasm)?;
    let mut tally = Tally::default();
    for capture in &tree::captures() {
        let mut spec = FilterSpec::new("filter", module.clone());
        spec.config = config.clone().into_bytes();
        let stage = Stage::builder(&engine).filter(spec).seed(SEED).log_level(LogLevel::Trace);
        let mut both = Both { stage: stage.build()?, proxy: start::<F>(&config)?, begun: false };
        let mut reader = read::open(std::slice::from_ref(capture), &ReadOptions::default())?;
        let mut exchange = Exchange::default();
        while reader.next(&mut exchange)? {
            if exchange.request.is_some() && exchange.events.is_none() {
                let place = format!("{} #{}", capture.display(), exchange.place.number);
                both = both.play(&exchange, &place, &mut tally);
            }
        }
        for metric in both.stage.metrics() {
            let place = format!("{}: {}", capture.display(), metric.name);
            same(&place, &both.proxy.metric(&metric.name), &Some(metric.value), &mut tally);
        }
    }
    Ok(tally)
}

fn start<F: Filter>(config: &str) -> Result<Proxy> {
    let setup = Setup { seed: SEED, ..Setup::default() };
    setup.start::<F>(config).map_err(anyhow::Error::msg)
}

/// The same filter twice.
struct Both {
    stage: Stage,
    proxy: Proxy,
    begun: bool,
}

impl Both {
    fn play(mut self, exchange: &Exchange, place: &str, tally: &mut Tally) -> Self {
        let mut wasm = Playback::default();
        self.stage.play(exchange, &mut wasm);
        let native;
        (self, native) = self.play_natively(exchange);
        tally.played += 1;
        tally.answered += usize::from(native.is_answered());
        let sent = exchange.request.get().map(message);
        tally.changed += usize::from(native.upstream.is_some() && native.upstream != sent);

        same(place, &native.upstream, &wasm.upstream.get().map(message), tally);
        same(place, &native.reply, &wasm.reply.get().map(message), tally);
        same(place, &native.is_answered(), &matches!(wasm.outcome, Outcome::Answered(_)), tally);
        if let Some(details) = &native.details {
            same(place, details, &wasm.details, tally);
        }
        let line =
            |log: &tamis_traffic::Log| format!("{:?} {}", log.level, String::from_utf8_lossy(&log.text));
        let lines: Vec<_> = wasm.logs.iter().map(line).collect();
        let native: Vec<_> = native.logs.iter().map(|(level, text)| format!("{level:?} {text}")).collect();
        same(place, &native, &lines, tally);
        same(place, &wasm.faults, &Vec::new(), tally);
        self
    }

    /// In the time of the recording, as the stage has it.
    fn play_natively(mut self, exchange: &Exchange) -> (Self, Played) {
        if let Some(started) = exchange.started.map(Duration::from_nanos) {
            if !std::mem::replace(&mut self.begun, true) {
                self.proxy.advance(started.saturating_sub(LEAD));
            }
            self.proxy.advance(started.saturating_sub(self.proxy.now()));
        }
        let source = exchange.source.as_ref().map(|peer| peer.address.clone());
        let response = exchange.response.get().map(message);
        let takes = Duration::from_nanos(exchange.duration.unwrap_or_default());
        let mut proxy = self.proxy.upstream(move |_| {
            testing::pass(if response.is_some() { takes } else { Duration::ZERO });
            response.clone()
        });
        if let Some(source) = source {
            proxy = proxy.property(&["source", "address"], source);
        }
        let played = proxy.play(exchange.request.get().map(message).unwrap_or_default());
        self.proxy = proxy;
        (self, played)
    }
}

fn message(from: &tamis_traffic::Message) -> Message {
    let fields = |headers: &tamis_traffic::Headers| {
        headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    Message {
        headers: fields(&from.headers),
        body: from.body.bytes.clone(),
        trailers: from.trailers.get().map(fields).unwrap_or_default(),
    }
}

fn same<T: PartialEq + Debug>(place: &str, native: &T, wasm: &T, tally: &mut Tally) {
    if native != wasm {
        tally.differences.push(format!("{place}\n    native {native:?}\n    wasm   {wasm:?}"));
    }
}

/// Checks that nothing differs and that there was something to see.
fn holds(tally: &Tally, answered: usize, changed: usize) -> Result<()> {
    let shown: Vec<_> = tally.differences.iter().take(SHOWN).map(String::as_str).collect();
    ensure!(shown.is_empty(), "{} differences:\n  {}", tally.differences.len(), shown.join("\n  "));
    let seen = tally.played > 1000 && tally.answered >= answered && tally.changed >= changed;
    ensure!(seen, "{} played, {} answered, {} changed", tally.played, tally.answered, tally.changed);
    Ok(())
}

#[test]
fn the_header_template_natively_is_the_one_in_wasm() -> Result<()> {
    let template = artifact::template()?;
    holds(&play_all::<header::Header>(&template.wasm, &configuration(template.config)?)?, 0, 1000)
}

#[test]
fn header_routing_natively_is_the_one_in_wasm() -> Result<()> {
    let wasm = artifact::unlinked("header-routing", WASI)?;
    type Native = header_routing::glue::HeaderRouting;
    holds(&play_all::<Native>(&wasm, &configuration("cli/demo/header-routing.json")?)?, 0, 20)?;
    // Everything that a rule can do: joined and separate values, pseudo headers, splits, answers with and without body.
    let config = json!({
        "strip_request_headers": ["x-forwarded-for"],
        "debug_header": "X-Route-Rule",
        "rules": [
            {
                "name": "moved", "match": [{ "path": { "suffix": "Charge" } }, { "path": { "prefix": "/posts/1" } }],
                "action": { "redirect": { "path": "/new", "status": 308 } }
            },
            {
                "name": "closed", "match": [{ "methods": ["DELETE", "HEAD"] }, { "path": { "suffix": "AddItem" } }],
                "action": { "respond": { "status": 404, "body": "100% \u{fc}ber" } }
            },
            {
                "name": "all", "match": [{}],
                "action": {
                    "request_headers": {
                        "remove": ["user-agent"],
                        "set": { "x-request-id": "1", "X-Route": "v2", "host": "other.test" },
                        "add": { "accept": "text/x", "cookie": "a=b", "x-custom": "2" }
                    },
                    "response_headers": {
                        "set": { "content-type": "a/b" }, "add": { "vary": "x", "set-cookie": "c=d", "x-custom": "3" }
                    },
                    "rewrite": { "prefix": { "from": "/", "to": "/v2/" } },
                    "split": {
                        "by": [{ "header": "x-session-id" }],
                        "variants": [
                            { "name": "a", "weight": 50 },
                            { "name": "b", "weight": 50, "request_headers": { "set": { "x-variant": "b" } } }
                        ]
                    }
                }
            }
        ]
    });
    holds(&play_all::<Native>(&wasm, &config)?, 40, 1000)
}

#[test]
fn auth_natively_is_the_one_in_wasm() -> Result<()> {
    let wasm = artifact::unlinked("auth", WASI)?;
    type Native = auth::glue::Auth;
    let mut config = configuration("cli/demo/auth.json")?;
    holds(&play_all::<Native>(&wasm, &config)?, 10, 10)?;
    (config["default"], config["expose_reason"]) = ("REQUIRED".into(), true.into());
    holds(&play_all::<Native>(&wasm, &config)?, 1000, 10)
}

#[test]
fn rate_limit_natively_is_the_one_in_wasm() -> Result<()> {
    let wasm = artifact::unlinked("rate-limit", WASI)?;
    type Native = rate_limit::glue::RateLimit;
    holds(&play_all::<Native>(&wasm, &configuration("cli/demo/rate-limit.json")?)?, 0, 0)?;
    // So few slots that who shares one with whom, by the seed, shows.
    let config = json!({
        "rules": [
            {
                "name": "sessions", "key": [{ "header": "x-session-id" }, "path"],
                "limit": { "requests": 2, "per": "1s" }
            },
            {
                "name": "addresses", "key": [{ "source_address": { "v4_prefix": 32, "v6_prefix": 64 } }, "method"],
                "limit": { "requests": 50, "per": "1s" }
            }
        ],
        "headers": { "x_ratelimit": true },
        "store": { "slots": 16 }
    });
    holds(&play_all::<Native>(&wasm, &config)?, 50, 0)
}
