//! How filters start: in a real Envoy and in our host, call by call (docs/envoy.md 1.5, rows 44 and 46).

use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tamis_host::{Engine, EngineOptions, FailurePolicy, FilterSpec, Module, Stage, Start};
use tamis_tests::envoy::{self, Envoy};
use tamis_traffic::Playback;

/// What the guest logs, at level warn: each callback of the start by its name and context.
fn guest(configure: u32) -> Vec<u8> {
    let lines = [
        "~initialize",
        "~create 1",
        "~create 2",
        "~vm_start 1",
        "~vm_start 2",
        "~configure 1",
        "~configure 2",
    ];
    let mut data = String::new();
    for (index, line) in lines.iter().enumerate() {
        data += &format!("(data (i32.const {}) \"{line:<12}\")\n", 1024 + 16 * index);
    }
    let say = |first: u32| {
        // The line of context 1, or the one behind it.
        format!(
            "(call $log (i32.const 3) (i32.add (i32.const {}) (i32.mul (i32.const 16) (i32.sub (local.get 0) (i32.const 1)))) (i32.const 12)) drop",
            1024 + 16 * first
        )
    };
    let text = format!(
        r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        {data}
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 4096))
        (func (export "_initialize") (drop (call $log (i32.const 3) (i32.const 1024) (i32.const 12))))
        (func (export "proxy_on_context_create") (param i32 i32) {create})
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32) {start} (i32.const 1))
        (func (export "proxy_on_configure") (param i32 i32) (result i32) {conf} (i32.const {configure})))"#,
        create = say(1),
        start = say(3),
        conf = say(5),
    );
    wat::parse_str(text).expect("the guest is WAT")
}

struct Guest {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Guest {
    fn new(configure: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (path, bytes) = (folder.path().join("guest.wasm"), guest(configure));
        std::fs::write(&path, &bytes)?;
        Ok(Self { _folder: folder, path, bytes })
    }
}

/// Filters of one VM.
fn filters(names: &[&str], wasm: &Path, extra: &Value) -> Vec<Value> {
    names.iter().map(|name| envoy::filter(name, "one", wasm, "", extra)).collect()
}

fn start(filters: &[Value]) -> Result<Envoy> {
    Ok(Envoy::start(&[envoy::listener("l", filters, "none")], &[envoy::cluster("none", None)])?)
}

/// The guest's lines: first those of Envoy's main thread, then those of its worker, once it has started its filters.
fn lines(envoy: &Envoy, filters: usize) -> Vec<String> {
    wait_for(envoy, &format!("~configure {filters}"));
    let all = envoy.lines();
    let text = |l: &envoy::Line| Some(l.text.split_once('~')?.1.trim().to_owned());
    let of = |main: bool| all.iter().filter(move |l| l.main_thread == main).filter_map(text);
    of(true).chain(of(false)).collect()
}

fn on_host(guest: &Guest, names: &[&str]) -> Result<Vec<String>> {
    let engine = Engine::new(&EngineOptions::default())?;
    let module = Module::load(&engine, &guest.bytes)?;
    let mut builder = Stage::builder(&engine).start(Start::LikeEnvoy);
    for name in names {
        builder = builder.filter(FilterSpec::new(*name, module.clone()));
    }
    let stage = builder.build()?;
    let line = |text: &[u8]| String::from_utf8_lossy(text).trim().trim_start_matches('~').to_owned();
    Ok(stage.start_logs().iter().map(|l| line(&l.text)).collect())
}

#[test]
fn envoy_1_5_one_filter_is_loaded_four_times_and_configured_three_times() -> Result<()> {
    let guest = Guest::new(1)?;
    let envoy = start(&filters(&["a"], &guest.path, &json!({})))?;
    let vm = ["initialize", "create 1", "vm_start 1", "configure 1"];
    let want = [&vm[..1], &vm, &vm, &vm].concat();
    assert_eq!(lines(&envoy, 1), want);
    assert_eq!(on_host(&guest, &["a"])?, want);
    Ok(())
}

#[test]
fn envoy_1_5_filters_of_one_vm_start_one_after_the_other_in_it() -> Result<()> {
    let guest = Guest::new(1)?;
    let envoy = start(&filters(&["a", "b"], &guest.path, &json!({})))?;
    assert_eq!(lines(&envoy, 2), on_host(&guest, &["a", "b"])?);
    Ok(())
}

#[test]
fn envoy_1_5_ticks_come_on_the_main_thread_too() -> Result<()> {
    use tamis_tests::artifact::{self, PLAIN};
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let config = "a | conf: tick 30";
    let envoy = start(&[envoy::filter("a", "one", &wasm, config, &json!({}))])?;
    std::thread::sleep(Duration::from_millis(500));
    for main in [true, false] {
        let all = envoy.lines();
        let ticks = all.iter().filter(|l| l.main_thread == main && l.text.ends_with("a/root tick")).count();
        assert!(ticks > 2, "{ticks} ticks, main thread: {main}");
    }
    let engine = Engine::new(&EngineOptions::default())?;
    let mut spec = FilterSpec::new("a", Module::load(&engine, &std::fs::read(&wasm)?)?);
    spec.config = config.into();
    let mut stage = Stage::builder(&engine).start(Start::LikeEnvoy).filter(spec).build()?;
    let mut playback = Playback::default();
    stage.advance(Duration::from_millis(100), &mut playback);
    let ticks = playback.logs.iter().filter(|l| l.text == b"~a/root tick").count();
    assert_eq!(ticks, 6, "three on each thread");
    Ok(())
}

#[test]
fn envoy_1_5_a_root_that_is_not_done_waits_for_proxy_done() -> Result<()> {
    use tamis_tests::artifact::{self, PLAIN};
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let engine = Engine::new(&EngineOptions::default())?;
    let module = Module::load(&engine, &std::fs::read(&wasm)?)?;
    for script in ["done: ret 1", "done: done; ret 0", "done: ret 0"] {
        let config = format!("a | {script}");
        let mut envoy = start(&[envoy::filter("a", "one", &wasm, &config, &json!({}))])?;
        wait_for(&envoy, "a/root conf");
        std::process::Command::new("kill").args(["-TERM", &envoy.pid().to_string()]).status()?;
        assert!(envoy.ended(Duration::from_secs(20))?.is_some_and(|status| status.success()), "{script}");
        let said = envoy.lines();
        let own = |l: &envoy::Line| {
            (!l.main_thread).then(|| l.text.split_once('~').map(|(_, text)| text.to_owned()))
        };
        let real: Vec<String> = said.iter().filter_map(own).flatten().collect();
        let mut spec = FilterSpec::new("a", module.clone());
        spec.config = config.into();
        let stage = Stage::builder(&engine).filter(spec).build()?;
        let text =
            |l: &tamis_traffic::Log| String::from_utf8_lossy(&l.text).trim_start_matches('~').to_owned();
        let mut ours: Vec<String> = stage.start_logs().iter().map(text).collect();
        let mut playback = Playback::default();
        stage.shutdown(&mut playback);
        ours.extend(playback.logs.iter().map(text));
        assert_eq!(ours, real, "{script}: ours, Envoy's");
    }
    Ok(())
}

fn wait_for(envoy: &Envoy, last: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    let said = || envoy.lines().iter().any(|l| !l.main_thread && l.text.trim_end().ends_with(last));
    while !said() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn envoy_2_12_a_refused_configuration_is_a_start_failure_under_every_policy() -> Result<()> {
    let guest = Guest::new(0)?;
    let engine = Engine::new(&EngineOptions::default())?;
    let module = Module::load(&engine, &guest.bytes)?;
    for (extra, policy) in [
        (json!({ "failure_policy": "FAIL_CLOSED" }), FailurePolicy::Closed),
        (json!({ "failure_policy": "FAIL_OPEN" }), FailurePolicy::Open),
        (json!({ "failure_policy": "FAIL_RELOAD" }), FailurePolicy::Reload),
        (json!({ "fail_open": true }), FailurePolicy::LegacyOpen),
    ] {
        let refused = start(&filters(&["a"], &guest.path, &extra)).err().map(|e| e.to_string());
        assert!(refused.as_deref().is_some_and(|e| e.contains("refused to start")), "{extra}: {refused:?}");
        let spec = FilterSpec { policy, ..FilterSpec::new("a", module.clone()) };
        assert!(Stage::builder(&engine).filter(spec).build().is_err(), "{policy:?}");
    }
    Ok(())
}
