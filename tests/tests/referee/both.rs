//! One chain of scripted guests, played by the test host and by a real Envoy.

use anyhow::Result;
use std::sync::LazyLock;
use std::time::Duration;
use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Profile, Stage, StageBuilder};
use tamis_referee::{Chain, Cluster, Filter, Proxy, Referee, alike};
use tamis_tests::artifact::{self, PLAIN};
use tamis_traffic::answers::{Answer, Answers};
use tamis_traffic::inject::{Injection, What};
use tamis_traffic::redact::Secrets;
use tamis_traffic::{
    Body, Callout, CalloutKind, Exchange, Headers, Message, Playback, PropertyValue, Protocol, Slot,
};

static GUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = artifact::module("tamis-guest", PLAIN).expect("the guest builds");
    std::fs::read(path).expect("the guest can be read")
});

/// The one cluster of callouts answers so.
pub(crate) fn rule(callout: &Callout) -> Answer {
    let body = Body { bytes: b"allowed".to_vec(), ..Body::default() };
    let headers = [(":status", "200"), ("x-seen", callout.request.headers.text("x-ask").unwrap_or("-"))];
    let message = Message { headers: headers.into_iter().collect(), body, trailers: Slot::none() };
    Answer::Reply { message, after: Duration::ZERO }
}

/// What is played. `ours` and `envoys` are the same answers, unless a test wants them to differ.
pub(crate) struct Setup<'a> {
    pub(crate) names: &'a [&'a str],
    /// What each does beside what a request asks of it.
    pub(crate) script: &'a str,
    pub(crate) allowed: &'a [&'a str],
    pub(crate) buffer_limit: u32,
    /// A tree of properties.
    pub(crate) proxy: serde_json::Value,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) ours: Box<dyn Answers>,
    pub(crate) envoys: Box<dyn Answers + Send>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            names: &["a"],
            script: "",
            allowed: &[],
            buffer_limit: 1 << 20,
            proxy: serde_json::json!({}),
            clusters: vec![Cluster::new("idp")],
            ours: Box::new(rule),
            envoys: Box::new(rule),
        }
    }
}

pub(crate) struct Both {
    engine: Engine,
    specs: Vec<FilterSpec>,
    stage: Stage,
    referee: Referee,
}

impl Both {
    /// A chain of scripted guests, with one service.
    pub(crate) fn start(names: &[&str]) -> Result<Self> {
        Self::with(Setup { names, ..Setup::default() })
    }

    pub(crate) fn with(setup: Setup<'_>) -> Result<Self> {
        let engine = Engine::new(&EngineOptions::default())?;
        let module = Module::load(&engine, &GUEST)?;
        let mut profile = Profile::default();
        profile.buffer_limit = setup.buffer_limit.into();
        let (mut specs, mut filters) = (Vec::new(), Vec::new());
        for name in setup.names {
            let mut spec = FilterSpec::new(*name, module.clone());
            spec.config = [*name, setup.script].join(" | ").into_bytes();
            spec.vm_id = format!("vm-{name}");
            spec.allowed_capabilities = setup.allowed.iter().map(|name| (*name).to_owned()).collect();
            filters.push(Filter {
                name: spec.name.clone(),
                vm_id: spec.vm_id.clone(),
                wasm: GUEST.clone(),
                config: spec.config.clone(),
                allowed_capabilities: spec.allowed_capabilities.clone(),
                ..Filter::default()
            });
            specs.push(spec);
        }
        let mut chain = Chain::new(filters);
        chain.serve(setup.clusters, setup.envoys);
        chain.idle = Duration::from_secs(1);
        chain.buffer_limit = setup.buffer_limit;
        let proxy = PropertyValue::from(&setup.proxy);
        chain.proxy = Proxy::read(&proxy)?;
        let builder = Stage::builder(&engine).answers(setup.ours).profile(profile).proxy(proxy);
        let stage = specs.iter().cloned().fold(builder, StageBuilder::filter).build()?;
        Ok(Self { engine, specs, stage, referee: Referee::start(chain)? })
    }

    /// Plays one by both; what differs, and Envoy's playback.
    pub(crate) fn play(&mut self, exchange: &Exchange) -> Result<(Vec<String>, Playback)> {
        let mut theirs = Playback::default();
        self.referee.play(exchange, &mut theirs)?;
        Ok((differences(&mut self.stage, &self.referee, exchange, &mut theirs), theirs))
    }

    /// Envoy plays one, and nothing is compared.
    pub(crate) fn envoy_plays(&mut self, exchange: &Exchange) -> Result<Playback> {
        let mut theirs = Playback::default();
        self.referee.play(exchange, &mut theirs)?;
        Ok(theirs)
    }

    /// The same with a client that leaves; the test host has new filters for it.
    pub(crate) fn play_until_left(
        &mut self,
        exchange: &Exchange,
        moment: &str,
    ) -> Result<(Vec<String>, Playback)> {
        let fault: Injection = format!("client-abort{moment}").parse()?;
        let What::ClientAbort(at) = fault.what else { anyhow::bail!("`{fault}` is another fault") };
        let builder = Stage::builder(&self.engine).inject(0, fault, None);
        let mut stage = self.specs.iter().cloned().fold(builder, StageBuilder::filter).build()?;
        let mut theirs = Playback::default();
        self.referee.play_until_left(exchange, at, &mut theirs)?;
        Ok((differences(&mut stage, &self.referee, exchange, &mut theirs), theirs))
    }
}

/// Plays what Envoy just played, and says what differs.
fn differences(
    stage: &mut Stage,
    referee: &Referee,
    exchange: &Exchange,
    theirs: &mut Playback,
) -> Vec<String> {
    let (mut lived, mut ours) = (exchange.clone(), Playback::default());
    referee.relive(&mut lived);
    stage.play(&lived, &mut ours);
    let calls = ours.callouts.iter().filter(|c| c.token != 0 && c.kind != CalloutKind::Resolve);
    referee.await_callouts(calls, theirs);
    let mut lines = alike::compare(&ours, theirs).lines(Secrets::Show);
    let (mine, envoys) = (logs(&ours), logs(theirs));
    if let Some(at) = (0..mine.len().max(envoys.len())).find(|i| mine.get(*i) != envoys.get(*i)) {
        let [mine, envoys] = [&mine, &envoys].map(|l| l.get(at).map_or("", |l| l).to_owned());
        // What is common to long lines says nothing.
        let same = mine.bytes().zip(envoys.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(60);
        let [mine, envoys] =
            [mine, envoys].map(|l| String::from_utf8_lossy(&l.as_bytes()[same..]).into_owned());
        lines.push(format!("log line {at}: {mine} -> {envoys}"));
    }
    lines
}

/// What the guests say, without the numbers of streams, which differ once a VM was started anew.
pub(crate) fn logs(playback: &Playback) -> Vec<String> {
    let line = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        match text.split_once('/') {
            Some((name, rest)) => format!("{name}/{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
            None => text,
        }
    };
    playback.logs.iter().filter(|log| log.text.starts_with(b"~")).map(|log| line(&log.text)).collect()
}

pub(crate) fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().map(|(n, v)| (*n, *v)).collect()
}

/// A request as Envoy records it, with a script for the guests.
pub(crate) fn exchange(protocol: Protocol, script: &str, body: &[&str]) -> Exchange {
    let mut head = headers(&[
        (":authority", "shop.test"),
        (":path", "/a?b=%20c"),
        (":method", if body.is_empty() { "GET" } else { "POST" }),
        (":scheme", "https"),
        ("x-script", script),
        ("x-forwarded-proto", "https"),
    ]);
    if protocol == Protocol::Http2 {
        head.push(b"te", b"trailers");
    }
    let pieces = |parts: &[&str]| Body {
        bytes: parts.concat().into_bytes(),
        chunks: parts.iter().map(|p| p.len() as u32).collect(),
        ..Body::default()
    };
    let answer =
        headers(&[(":status", "200"), ("date", "Mon, 23 Nov 2026 07:03:32 GMT"), ("x-from", "shop")]);
    Exchange {
        request: Slot::some(Message { headers: head, body: pieces(body), trailers: Slot::none() }),
        response: Slot::some(Message {
            headers: answer,
            body: pieces(&["from the shop"]),
            trailers: Slot::none(),
        }),
        protocol,
        ..Exchange::default()
    }
}
