//! Ten filters on the bare proxy-wasm crate and on the sdk: the same exchanges, the same messages, and what each costs.
//!
//! docs/migration.md shows them; what is made of it here is written anew with `TAMIS_UPDATE=1` in the environment.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use tamis_host::{Clock, Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_tests::{artifact, tree};
use tamis_traffic::answers::Answer;
use tamis_traffic::{Callout, Exchange, GrpcReply, Headers, Message, Outcome, Playback, PropertyValue, Slot};

/// The filters, by the names of their files.
const JOBS: [&str; 10] =
    ["hello", "headers", "body", "config", "auth", "parallel", "grpc", "metadata", "visits", "queue"];

/// How often the exchanges are played: what happens once, such as growing memory, then weighs little.
const ROUNDS: usize = 50;

/// The tick of the filter that has one.
const PERIOD: Duration = Duration::from_secs(5);

/// Where all clocks stand when a filter starts, nanoseconds.
const START: u64 = 1_790_000_000_000_000_000;

/// Part by which a figure of the page may be off: compilers differ.
const SLACK: f64 = 0.03;

/// The part of the page that is made here.
const MARKS: [&str; 2] = ["<!-- made by tests/tests/migration.rs -->\n", "<!-- end -->\n"];

const SIDES: [&str; 2] = ["raw", "ours"];

fn source(side: &str, job: &str) -> Result<String> {
    let path = tree::root().join("tests/migration").join(side).join("examples").join(job);
    let path = path.with_extension("rs");
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// What a reader has to know of a source: without the sentence about it and the attributes of the file.
fn shown(source: &str) -> String {
    let lines = source.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Lines of code: not blank and no comment.
fn lines(source: &str) -> usize {
    let code = shown(source);
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn stage(job: &str, wasm: PathBuf, answers: fn(&Callout) -> Answer) -> Result<Stage> {
    let engine = Engine::new(&EngineOptions { count_fuel: true, cache: None })?;
    let mut filter = FilterSpec::new(job, Module::load(&engine, &std::fs::read(wasm)?)?);
    if job == "config" {
        filter.config = br#"{ "header": "x-stamp", "value": "yes" }"#.to_vec();
    }
    let builder = Stage::builder(&engine).filter(filter).clock(Clock::Fixed(START));
    Ok(builder.answers(Box::new(answers)).proxy(metadata()).build()?)
}

/// The metadata of the route.
fn metadata() -> PropertyValue {
    (&json!({ "xds": { "route_metadata": { "filter_metadata": { "shop": { "tier": "gold" } } } } })).into()
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().copied().collect()
}

fn exchange(path: &str, body: &str) -> Exchange {
    let request =
        [(":authority", "shop"), (":path", path), (":method", "GET"), (":scheme", "http"), ("x-in", "1")];
    let length = body.len().to_string();
    let mut response = Message {
        headers: headers(&[(":status", "200"), ("content-length", &length), ("server", "shop")]),
        ..Message::default()
    };
    response.body.bytes = body.into();
    response.body.chunks = body.as_bytes().chunks(16).map(|piece| piece.len() as u32).collect();
    let request = Message { headers: headers(&request), ..Message::default() };
    Exchange { request: Slot::some(request), response: Slot::some(response), ..Exchange::default() }
}

fn exchanges() -> Vec<Exchange> {
    vec![
        exchange("/hello", "never asked"),
        exchange("/cart?a=b", "a body without that word"),
        exchange("/checkout", "a body of pieces with a secret in it"),
        exchange("/empty", ""),
    ]
}

fn reply(body: &[u8]) -> Answer {
    let mut message = Message {
        headers: headers(&[(":status", "200"), ("x-envoy-upstream-service-time", "1")]),
        ..Message::default()
    };
    message.body.bytes = body.into();
    Answer::Reply { message, after: Duration::from_millis(20) }
}

/// Every service answers as it should.
fn well(callout: &Callout) -> Answer {
    match callout.cluster.as_str() {
        // Even and odd in turn.
        "random" => reply(&[(callout.token / 4) as u8]),
        "authz" => {
            let asked = &callout.request.body.bytes;
            let cart = asked.windows(5).any(|window| window == b"/cart");
            Answer::Grpc(if cart { GrpcReply::message([8, 1]) } else { GrpcReply::error(7, "no") })
        }
        name => reply(name.as_bytes()),
    }
}

/// No service answers in time.
fn late(_: &Callout) -> Answer {
    Answer::Timeout
}

/// What both filters of a pair must have in common.
fn seen(playback: &Playback) -> String {
    let mut logs: Vec<_> = playback.logs.iter().map(|log| String::from_utf8_lossy(&log.text)).collect();
    // The bare crate is shown its own reply as a response, `handle` is not.
    logs.retain(|line| !(line.starts_with('<') && matches!(playback.outcome, Outcome::Answered(_))));
    let callouts = playback.callouts.iter().map(|call| (call.cluster.as_str(), &call.request.body.bytes));
    let callouts = callouts.collect::<Vec<_>>();
    format!(
        "{:?}\nupstream {:?}\nclient {:?}\n{callouts:?}\n{logs:?}",
        playback.outcome, playback.upstream, playback.reply
    )
}

/// Plays everything with both of a pair and gives their fuel for an exchange: none for a tick, which is outside of all.
fn play(job: &str, stages: &mut [Stage; 2]) -> Result<[u64; 2]> {
    let (exchanges, mut fuel, mut count) = (exchanges(), [0; 2], 0);
    for _ in 0..ROUNDS {
        for exchange in &exchanges {
            let mut sides = Vec::new();
            for (stage, fuel) in stages.iter_mut().zip(&mut fuel) {
                let mut playback = Playback::default();
                if job == "hello" {
                    stage.advance(PERIOD, &mut playback);
                } else {
                    stage.play(exchange, &mut playback);
                }
                ensure!(playback.faults.is_empty(), "{job}: {:?}", playback.faults);
                ensure!(job != "hello" || playback.logs.len() == 1, "{job}: no tick, or several");
                *fuel += playback.filters.iter().map(|filter| filter.cost.fuel).sum::<u64>();
                sides.push(seen(&playback));
            }
            count += 1;
            assert_eq!(sides[0], sides[1], "{job}: exchange {count}");
        }
    }
    Ok(fuel.map(|fuel| fuel / count))
}

/// The table and the code of each pair, as the page has them.
fn page() -> Result<String> {
    let mut table = String::from(
        "| filter | lines, bare | lines, sdk | bytes, bare | bytes, sdk | fuel, bare | fuel, sdk |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let mut code = String::new();
    for job in JOBS {
        let sources = [source("raw", job)?, source("ours", job)?];
        let wasm = [artifact::raw_example(job)?, artifact::our_example(job)?];
        let bytes = [std::fs::metadata(&wasm[0])?.len(), std::fs::metadata(&wasm[1])?.len()];
        let [raw, ours] = wasm;
        let fuel = play(job, &mut [stage(job, raw, well)?, stage(job, ours, well)?])?;
        let length = [lines(&sources[0]), lines(&sources[1])];
        let fuel = fuel.map(|fuel| if fuel == 0 { "none".to_owned() } else { fuel.to_string() });
        writeln!(
            table,
            "| {job} | {} | {} | {} | {} | {} | {} |",
            length[0], length[1], bytes[0], bytes[1], fuel[0], fuel[1]
        )?;
        let says = sources[1].lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
        write!(code, "\n### {job}\n\n{says}\n")?;
        for (side, source) in SIDES.iter().zip(&sources) {
            let name = if *side == "raw" { "On the bare crate" } else { "On the sdk" };
            write!(code, "\n{name}:\n\n```rust\n{}\n```\n", shown(source))?;
        }
    }
    Ok(table + &code)
}

/// The figures of a row of a table; none for other lines.
fn figures(line: &str) -> Vec<f64> {
    line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect()
}

/// Equal, but for figures that are a little off.
fn is_alike(kept: &str, made: &str) -> bool {
    let (before, now) = (figures(kept), figures(made));
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= SLACK * b;
    if now.is_empty() {
        return kept == made;
    }
    let name = |line: &str| line.split('|').nth(1).map(str::to_owned);
    name(kept) == name(made) && before.len() == now.len() && before.iter().zip(&now).all(near)
}

#[test]
#[allow(clippy::print_stdout, reason = "what each costs")]
fn both_of_a_pair_do_the_same_and_the_page_says_what_they_cost() -> Result<()> {
    let made = page()?;
    println!("{}", made.split("\n\n").next().unwrap_or_default());
    let path = tree::root().join("docs/migration.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(MARKS[0]).context("the page has no place for what is made")?;
    let (kept, after) = rest.split_once(MARKS[1]).context("what is made has no end")?;
    if std::env::var_os("TAMIS_UPDATE").is_some() {
        std::fs::write(&path, [before, MARKS[0], &made, MARKS[1], after].concat())?;
    } else {
        let alike = kept.lines().count() == made.lines().count();
        let off = kept.lines().zip(made.lines()).find(|(kept, made)| !is_alike(kept, made));
        assert!(alike && off.is_none(), "docs/migration.md is old, write it with TAMIS_UPDATE=1: {off:?}");
    }
    for row in made.lines().map(figures).filter(|row| row.len() >= 4) {
        assert!(row[1] < row[0], "the sdk takes more lines: {row:?}");
        assert!(row[3] < row[2], "the sdk takes more bytes: {row:?}");
    }
    Ok(())
}

/// What the bare crate gives to a filter as an answer is the proxy's own words when a service is late; the sdk says so.
#[test]
fn a_late_service_is_a_failure_on_the_sdk_and_an_answer_on_the_bare_crate() -> Result<()> {
    let cart = exchange("/cart", "");
    let play = |job: &str, wasm: PathBuf| -> Result<Playback> {
        let mut playback = Playback::default();
        stage(job, wasm, late)?.play(&cart, &mut playback);
        Ok(playback)
    };
    let status =
        |playback: &Playback| playback.reply.get().and_then(|m| m.headers.text(":status").map(str::to_owned));
    assert_eq!(status(&play("auth", artifact::raw_example("auth")?)?).as_deref(), Some("403"));
    assert_eq!(status(&play("auth", artifact::our_example("auth")?)?).as_deref(), Some("500"));
    let raw = play("parallel", artifact::raw_example("parallel")?)?;
    let told = raw.upstream.get().and_then(|m| m.headers.text("x-one"));
    assert_eq!(told, Some("upstream request timeout"));
    let ours = play("parallel", artifact::our_example("parallel")?)?;
    assert!(ours.upstream.get().is_none(), "the request went on");
    assert_eq!(status(&ours).as_deref(), Some("500"));
    Ok(())
}
