//! One module, two engines.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tamis_host::{Engine, EngineOptions, FailurePolicy, FilterSpec, Module, Stage};
use tamis_tests::envoy::{self, Envoy};
use tamis_tests::peer::{Upstream, exchange};
use tamis_tests::row::{Answer, Step};
use tamis_traffic::{Exchange, Headers, Log, Message, Playback, Slot};

/// Longest wait for a line of a guest.
const LINE_LIMIT: Duration = Duration::from_secs(5);

/// A module in text, and how it is configured.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) wat: String,
    /// Envoy lets requests through that meet a broken filter.
    pub(crate) open: bool,
}

impl Case {
    pub(crate) fn new(name: &'static str, wat: impl Into<String>) -> Self {
        Self { name, wat: wat.into(), open: false }
    }

    fn wasm(&self) -> Result<Vec<u8>> {
        wat::parse_str(&self.wat).with_context(|| format!("{} is no module", self.name))
    }

    /// The module as a filter of our host, started.
    pub(crate) fn on_host(&self) -> Result<Stage> {
        let engine = Engine::new(&EngineOptions::default())?;
        let mut spec = FilterSpec::new(self.name, Module::load(&engine, &self.wasm()?)?);
        if self.open {
            spec.policy = FailurePolicy::Open;
        }
        Ok(Stage::builder(&engine).filter(spec).build()?)
    }

    /// The module in an Envoy that has started with it.
    pub(crate) fn in_envoy(&self, upstream: &Upstream) -> Result<Envoy> {
        let file = tempfile::Builder::new().suffix(".wasm").tempfile()?;
        std::fs::write(file.path(), self.wasm()?)?;
        let policy = if self.open { json!({ "failure_policy": "FAIL_OPEN" }) } else { json!({}) };
        let filter: Value = envoy::filter(self.name, self.name, file.path(), "", &policy);
        let listener = envoy::listener(self.name, &[filter], "up");
        Ok(Envoy::start(&[listener], &[envoy::cluster("up", Some(upstream.address()))])?)
    }

    /// What the guest says in both engines while it starts and while one GET passes: lines that begin with `~`.
    pub(crate) fn lines(&self, last: &str) -> Result<(Vec<String>, Vec<String>)> {
        let upstream = Upstream::start(vec![Answer::default()])?;
        let envoy = self.in_envoy(&upstream)?;
        let seen = exchange(envoy.listener(self.name)?, &Step::default())?;
        assert_eq!(seen.start, "200", "{}: {seen:?}", self.name);
        let end = Instant::now() + LINE_LIMIT;
        let mut real = Vec::new();
        while Instant::now() < end && !real.iter().any(|l: &String| l == last) {
            std::thread::sleep(Duration::from_millis(10));
            let own = |l: envoy::Line| {
                let text = l.text.split_once('~').filter(|_| !l.main_thread)?.1;
                Some(text.to_owned())
            };
            real = envoy.lines().into_iter().filter_map(own).collect();
        }
        let mut stage = self.on_host()?;
        let mut ours = texts(stage.start_logs());
        let mut playback = Playback::default();
        stage.play(&get(), &mut playback);
        assert!(playback.faults.is_empty(), "{}: {:?}", self.name, playback.faults);
        ours.extend(texts(&playback.logs));
        Ok((real, ours))
    }
}

fn texts(logs: &[Log]) -> Vec<String> {
    let line = |log: &Log| Some(String::from_utf8_lossy(&log.text).strip_prefix('~')?.to_owned());
    logs.iter().filter_map(line).collect()
}

fn get() -> Exchange {
    let headers = [
        (":authority", "shop.test"),
        (":path", "/"),
        (":method", "GET"),
        (":scheme", "http"),
        ("x-forwarded-proto", "http"),
    ];
    let message = |headers: Headers| Slot::some(Message { headers, ..Message::default() });
    Exchange {
        request: message(headers.into_iter().collect()),
        response: message([(":status", "200"), ("content-length", "0")].into_iter().collect()),
        ..Exchange::default()
    }
}
