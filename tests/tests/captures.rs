//! Every bundled capture through the three filters as one chain, by the test host and by a real Envoy: what
//! they do not do alike is a bug of the test host, or belongs into `tamis_referee::alike`.

use anyhow::{Context, Result};
use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_referee::{Chain, Filter, Referee, alike};
use tamis_tests::artifact::{self, WASI};
use tamis_tests::tree;
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::redact::Secrets;
use tamis_traffic::{Exchange, Kind, Playback, compare};

const FILTERS: [&str; 3] = ["header-routing", "auth", "rate-limit"];

/// Exchanges of one capture: enough to see each kind of call, few enough to be played in a minute.
const LIMIT: usize = 150;

/// Differences that are shown.
const SHOWN: usize = 20;

struct Both {
    stage: Stage,
    referee: Referee,
}

fn both() -> Result<Both> {
    let engine = Engine::new(&EngineOptions::default())?;
    let mut builder = Stage::builder(&engine);
    let mut filters = Vec::new();
    for name in FILTERS {
        let wasm = std::fs::read(artifact::shipped(name, WASI)?)?;
        let config = tree::root().join("cli/demo").join(name).with_extension("json");
        let config = std::fs::read(&config).with_context(|| config.display().to_string())?;
        let mut spec = FilterSpec::new(name, Module::load(&engine, &wasm)?);
        spec.config.clone_from(&config);
        builder = builder.filter(spec);
        filters.push(Filter { name: name.to_owned(), wasm, config, ..Filter::default() });
    }
    Ok(Both { stage: builder.build()?, referee: Referee::start(Chain::new(filters))? })
}

#[test]
fn every_capture_is_played_alike_by_both_engines() -> Result<()> {
    let mut both = both()?;
    let captures = tree::captures();
    let (mut played, mut answered, mut differing, mut told) = (0, 0, 0, Vec::new());
    for path in &captures {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut reader =
            read::open(std::slice::from_ref(path), &ReadOptions::default()).with_context(|| name.clone())?;
        let (mut exchange, mut theirs, mut ours) =
            (Exchange::default(), Playback::default(), Playback::default());
        for _ in 0..LIMIT {
            if !reader.next(&mut exchange).with_context(|| name.clone())? {
                break;
            }
            if exchange.request.is_none() {
                continue;
            }
            both.referee.play(&exchange, &mut theirs)?;
            let mut lived = exchange.clone();
            both.referee.relive(&mut lived);
            both.stage.play(&lived, &mut ours);
            played += 1;
            if !alike::comparable(&ours, &theirs) {
                // Web sockets do not go through Envoy here.
                let upgrade = exchange.request.get().and_then(|m| m.headers.get(b"upgrade"));
                let faults = (&ours.faults, &theirs.faults);
                assert!(
                    upgrade.is_some() && faults.0.is_empty(),
                    "{name} #{}: {faults:?}",
                    exchange.place.number
                );
                continue;
            }
            answered += usize::from(compare(&exchange, &theirs).kind == Kind::Answered);
            let difference = alike::compare(&ours, &theirs);
            if !difference.is_empty() {
                differing += 1;
                if told.len() < SHOWN {
                    let lines = difference.lines(Secrets::Show).join("\n    ");
                    told.push(format!("{name} #{}\n    {lines}", exchange.place.number));
                }
            }
        }
    }
    assert!(differing == 0, "{differing} of {played} differ, wasmtime -> Envoy:\n  {}", told.join("\n  "));
    assert!(played > 800 && answered > 10, "only {played} were played and {answered} answered");
    Ok(())
}
