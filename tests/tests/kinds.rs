//! Filters of all kinds in one module: chosen by name, linked to what they need, and a log in each of its two places.

use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use tamis_cli::build::link;
use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_tests::artifact::{self, WASI};
use tamis_tests::envoy::{self, Envoy};
use tamis_tests::peer::{Upstream, exchange};
use tamis_tests::row::{Answer, Step};
use tamis_traffic::{Exchange, Message, Playback, Slot};

const PACKAGE: &str = "tamis-test-filters";

/// The callbacks that a module exports, without `proxy_on_`.
fn callbacks(wasm: &Path) -> Result<Vec<String>> {
    let facts = tamis_host::inspect(&std::fs::read(wasm)?)?;
    let names = facts.exports.iter().filter_map(|e| e.name.strip_prefix("proxy_on_"));
    let mut names: Vec<String> = names.filter(|n| *n != "memory_allocate").map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

#[test]
fn a_module_exports_what_its_kinds_need() -> Result<()> {
    assert_eq!(
        callbacks(&artifact::shipped("header-routing", WASI)?)?,
        ["configure", "context_create", "done", "request_headers", "response_headers"]
    );
    assert_eq!(
        callbacks(&artifact::shipped(PACKAGE, WASI)?)?,
        [
            "configure",
            "context_create",
            "done",
            "downstream_data",
            "http_call_response",
            "log",
            "new_connection",
            "request_body",
            "request_headers",
            "request_trailers",
            "response_body",
            "response_headers",
            "response_trailers",
            "tick",
            "upstream_data",
        ]
    );
    Ok(())
}

/// What a module asks of a host, without `proxy_`.
fn imports(wasm: &[u8]) -> Result<Vec<String>> {
    let facts = tamis_host::inspect(wasm)?;
    let names = facts.imports.iter().map(|i| i.name.strip_prefix("proxy_").unwrap_or(&i.name).to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

/// Every function that a module imports is one that a reader of it has to think about.
#[test]
fn a_module_imports_what_its_filter_can_use() -> Result<()> {
    let template = link(&std::fs::read(artifact::template()?.wasm)?)?.wasm;
    assert_eq!(
        imports(&template)?,
        [
            "continue_stream",
            "define_metric",
            "get_buffer_bytes",
            "get_header_map_pairs",
            "get_log_level",
            "increment_metric",
            "log",
            "remove_header_map_value",
            "replace_header_map_value",
            "send_local_response",
            "set_effective_context",
        ]
    );
    // What only connections, roots that end late, and the crate's own ways ask for.
    let elsewhere =
        ["close_stream", "done", "get_header_map_value", "set_header_map_pairs", "get_configuration"];
    for name in ["header-routing", "auth", "rate-limit", PACKAGE] {
        let all = imports(&std::fs::read(artifact::shipped(name, WASI)?)?)?;
        for import in elsewhere.iter().skip(usize::from(name == PACKAGE)) {
            assert!(!all.iter().any(|known| known == import), "{name}: {import} of {all:?}");
        }
    }
    Ok(())
}

/// Both as cargo makes it, with the crate's dispatcher, and as it ships.
#[test]
fn an_unknown_root_id_is_an_error_of_the_configuration() -> Result<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    for wasm in [artifact::module(PACKAGE, WASI)?, artifact::shipped(PACKAGE, WASI)?] {
        let filter = envoy::filter("bdy", "bdy", &wasm, r#"{ "name": "a" }"#, &json!({}));
        let refused =
            Envoy::start(&[envoy::listener("a", &[filter], "none")], &[envoy::cluster("none", None)]);
        let error = format!("{:#}", anyhow::Error::from(refused.err().context("Envoy started")?));
        let told = "`root_id`: no filter `bdy` in this module, which has `body`, `callout`, `timer`, `log`, `tcp`, \
            `vm`";
        assert!(error.contains(told), "{error}");

        let mut spec = FilterSpec::new("a", Module::load(&engine, &std::fs::read(&wasm)?)?);
        (spec.root_id, spec.config) = ("bdy".into(), br#"{ "name": "a" }"#.to_vec());
        let refused = Stage::builder(&engine).filter(spec).build().err().context("the stage started")?;
        let last = refused.logs.last().map(|log| String::from_utf8_lossy(&log.text).into_owned());
        assert_eq!(last, Some(format!("the filter can not start: {told}")));
    }
    Ok(())
}

/// docs/envoy.md 1.5: an access logger of the proxy is told on its root, and has no streams.
#[test]
fn envoy_1_5_a_log_is_also_an_access_logger_of_the_proxy() -> Result<()> {
    let answer = Answer { body: vec!["from the shop".into()], ..Answer::default() };
    let (upstream, logs) = (Upstream::start(vec![answer])?, Upstream::start(vec![Answer::default()])?);
    for (name, wasm) in
        [("plain", artifact::module(PACKAGE, WASI)?), ("linked", artifact::shipped(PACKAGE, WASI)?)]
    {
        let config = json!({ "name": name, "cluster": "logs" }).to_string();
        let mut logger = envoy::filter(name, name, &wasm, &config, &json!({ "root_id": "log" }));
        logger["typed_config"]["@type"] =
            "type.googleapis.com/envoy.extensions.access_loggers.wasm.v3.WasmAccessLog".into();
        let mut listener = envoy::listener("l", &[], "shop");
        listener["filter_chains"][0]["filters"][0]["typed_config"]["access_log"] = json!([logger]);
        let clusters =
            [envoy::cluster("shop", Some(upstream.address())), envoy::cluster("logs", Some(logs.address()))];
        let envoy = Envoy::start(&[listener], &clusters)?;
        let step = Step { path: Some("/a".into()), ..Step::default() };
        assert_eq!(exchange(envoy.listener("l")?, &step)?.start, "200", "{name}");
        let told = format!("~{name}/1 log GET /a -> Some(200) - - details=\"via_upstream\" size=Ok(13)");
        for line in [told, format!("~{name}/1 sent: Ok(200)")] {
            wait_for(&envoy, &line)?;
        }
    }
    assert_eq!(logs.take().len(), 2);
    Ok(())
}

#[test]
fn what_the_vm_is_told_reaches_the_filter() -> Result<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    for wasm in [artifact::module(PACKAGE, WASI)?, artifact::shipped(PACKAGE, WASI)?] {
        let (config, told) = (r#"{ "name": "vm" }"#, "shop-1 \u{fc}");
        let mut filter = envoy::filter("vm", "vm", &wasm, config, &json!({}));
        filter["typed_config"]["config"]["vm_config"]["configuration"] =
            json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": told });
        let envoy =
            Envoy::start(&[envoy::listener("l", &[filter], "none")], &[envoy::cluster("none", None)])?;
        assert_eq!(exchange(envoy.listener("l")?, &Step::default())?.body, told.as_bytes());

        let mut spec = FilterSpec::new("vm", Module::load(&engine, &std::fs::read(&wasm)?)?);
        (spec.root_id, spec.config, spec.vm_config) = ("vm".into(), config.into(), told.into());
        let mut playback = Playback::default();
        Stage::builder(&engine).filter(spec).build()?.play(&request(), &mut playback);
        let reply = playback.reply.get().map(|reply| reply.body.bytes.clone());
        assert_eq!(reply.as_deref(), Some(told.as_bytes()));
    }
    Ok(())
}

fn request() -> Exchange {
    let headers = [(":method", "GET"), (":path", "/"), (":authority", "a"), (":scheme", "http")];
    let request = Message { headers: headers.into_iter().collect(), ..Message::default() };
    Exchange { request: Slot::some(request), ..Exchange::default() }
}

fn wait_for(envoy: &Envoy, line: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    while !envoy.lines().iter().any(|l| l.text.contains(line)) {
        anyhow::ensure!(Instant::now() < end, "no line `{line}` in {:?}", envoy.lines());
        std::thread::yield_now();
    }
    Ok(())
}
