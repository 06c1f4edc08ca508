//! What goes wrong with the bare crate (by number, see docs/sdk.md) and cannot with the sdk, as far as it needs wasm: in
//! a real Envoy, on our host, and on one that answers whatever it likes. The others are in sdk/tests/faults.rs.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tamis_abi::{CALLBACKS, pairs};
use tamis_host::{EngineOptions, FilterSpec, Stage};
use tamis_tests::artifact::{self, PLAIN, WASI};
use tamis_tests::engine::{Observed, Referee, play_on_host};
use tamis_tests::row::Row;
use tamis_traffic::{Exchange, Headers, Message, Playback, Slot};
use wasmtime::{Caller, Engine, Extern, Instance, Linker, Module, Store, TypedFunc, Val, ValType};

fn probe() -> Result<PathBuf> {
    artifact::shipped("tamis-probe", WASI)
}

fn row(text: &str) -> Result<Row> {
    Ok(serde_saphyr::from_str(text)?)
}

/// Plays a row on our host, and says that nothing of Envoy's was abused.
fn on_host(name: &str, row: &Row) -> Result<Observed> {
    let engine = tamis_host::Engine::new(&EngineOptions::default())?;
    let module = tamis_host::Module::load(&engine, &std::fs::read(probe()?)?)?;
    let seen = play_on_host(&engine, &module, name, row)?;
    ensure!(seen.faults.is_empty(), "{name}: {:?}", seen.faults);
    Ok(seen)
}

/// 1. One byte above 0x7f in any header and a worker answers 503 for ever.
#[test]
fn fault_1_a_client_cannot_kill_the_filter() -> Result<()> {
    let name = "fault-1";
    let row = row(r#"
says: a fault
chain: [{ name: "1" }]
exchanges:
  - script: { "*": values; set x-went on; next; set x-came back }
    hex_headers: [[x-odd, "636166e9"], [x-odd, ff], [cookie, "613dff"], [content-type, "e9"], [x-request-id, "ff"]]
    answer: { headers: [[x-odd, "\u00e9"]] }
  - { method: HEAD, hex_headers: [[x-odd, "80"]], script: { "*": values; next; fail } }
  - script: { "*": values; set x-went on }
"#)?;
    let rows = [(name.to_owned(), row)];
    let real = Referee::start(&rows, &probe()?)?.play(name, &rows[0].1)?;
    for seen in [real, on_host(name, &rows[0].1)?] {
        let starts: Vec<&str> = seen.client.iter().map(|answer| answer.start.as_str()).collect();
        assert_eq!(starts, ["200", "500", "200"], "{}", seen.text());
        assert_eq!(seen.upstream.len(), 3);
        assert!(seen.text().contains(r"caf\\xe9"), "{}", seen.text());
    }
    Ok(())
}

/// 4. A host that restricts the filter's functions: the crate panics, and again while it logs that.
#[test]
fn fault_4_a_restricted_filter_is_none_that_panics() -> Result<()> {
    let script = "cell; slots; lease; queue; metrics; state; foreign; http x 9; grpc x 9";
    let row = row(&format!(
        r#"
says: a fault
chain: [{{ name: "4", allowed: [proxy_on_context_create, proxy_on_configure, proxy_on_request_headers, proxy_get_header_map_pairs] }}]
exchanges: [{{ script: {{ "*": {script} }} }}]
"#
    ))?;
    let seen = on_host("fault-4", &row)?;
    assert_eq!(seen.client[0].start, "200", "{}", seen.text());
    Ok(())
}

/// 10. Levels collapse.
#[test]
fn fault_10_each_level_arrives_as_it_is() -> Result<()> {
    let engine = tamis_host::Engine::new(&EngineOptions::default())?;
    let module = tamis_host::Module::load(&engine, &std::fs::read(probe()?)?)?;
    let mut filter = FilterSpec::new("levels", module);
    filter.config = b"10".to_vec();
    let builder = Stage::builder(&engine).filter(filter).log_level(tamis_traffic::LogLevel::Trace);
    let headers: Headers = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "a"),
        (":scheme", "http"),
        ("x-script", "levels"),
    ]
    .into_iter()
    .collect();
    let request = Message { headers, ..Message::default() };
    let exchange = Exchange { request: Slot::some(request), ..Exchange::default() };
    let mut playback = Playback::default();
    builder.build()?.play(&exchange, &mut playback);
    let lines = playback.logs.iter().filter(|log| log.text.starts_with(b"~10/level"));
    let levels: Vec<String> =
        lines.map(|log| format!("{:?} {}", log.level, String::from_utf8_lossy(&log.text))).collect();
    let expected = ["Trace", "Debug", "Info", "Warn", "Error", "Critical"]
        .map(|level| format!("{level} ~10/level {}", level.to_lowercase()));
    assert_eq!(levels, expected);
    Ok(())
}

/// 2, 3, 4, 7, 15, 16. Whatever a host answers, and whichever callbacks with whatever numbers it makes, no callback
/// traps: with both modules, the one that cargo alone made as far as the crate's dispatcher is not asked for contexts
/// that it does not know, where it panics by itself.
#[test]
fn faults_2_3_4_7_15_and_16_no_host_makes_a_callback_trap() -> Result<()> {
    let engine = Engine::default();
    for target in [WASI, PLAIN] {
        let linked = artifact::shipped("tamis-probe", target)?;
        let module = Module::from_file(&engine, &linked).map_err(|e| anyhow::anyhow!("{e}"))?;
        let mut called = BTreeSet::new();
        for status in (0..=13).chain([255, u32::MAX]) {
            let mut odd = OddHost::start(&engine, &module, status)?;
            odd.play().with_context(|| format!("{target}, every answer is {status}"))?;
            called.append(&mut odd.store.data_mut().called);
        }
        let idle: Vec<&&str> = USED.iter().filter(|name| !called.contains(**name)).collect();
        assert!(idle.is_empty(), "{target}: it was a filter that does little, nobody called {idle:?}");
    }
    Ok(())
}

/// What the exchanges of [`OddHost`] do, one after the other.
const SCRIPTS: [&str; 13] = [
    "cell; slots; lease; metrics; values",
    "properties; state; foreign; verify; levels",
    "body wrap 10; trailers; next; properties; body shout; trailers",
    "body shout; next; body wrap 10",
    "body look; next",
    "http x 1; next; http x 1",
    "limit x",
    "retry x 1",
    "grpc x 1",
    "stream x y",
    "leave x x; sleep 1",
    "queue",
    "misuse; set x-a b; next; set x-c d",
];

/// What they call in the host, among others.
const USED: [&str; 24] = [
    "proxy_call_foreign_function",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_dequeue_shared_queue",
    "proxy_enqueue_shared_queue",
    "proxy_get_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_set_buffer_bytes",
    "proxy_set_effective_context",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

/// A host that gives the script where headers are asked for, takes logs, and answers everything else with one status and
/// nothing more.
struct OddHost {
    store: Store<Seen>,
    instance: Instance,
}

#[derive(Default)]
struct Seen {
    /// The names of the functions that were called.
    called: BTreeSet<String>,
    /// How often headers were asked for.
    exchanges: usize,
    tokens: u32,
}

/// Functions that give a token, at their last argument.
const STARTS: [&str; 3] = ["proxy_grpc_call", "proxy_grpc_stream", "proxy_http_call"];

/// The ids of the exchanges.
const IDS: std::ops::Range<u32> = 2..2 + SCRIPTS.len() as u32;

impl OddHost {
    fn start(engine: &Engine, module: &Module, status: u32) -> Result<Self> {
        let mut linker = Linker::<Seen>::new(engine);
        for import in module.imports() {
            let ty = import.ty().func().context("only functions are imported")?.clone();
            let results: Vec<ValType> = ty.results().collect();
            let name = import.name().to_owned();
            let gives_script = import.name() == "proxy_get_header_map_pairs";
            let answer = status.cast_signed();
            linker
                .func_new(import.module(), import.name(), ty, move |mut caller, args, out| {
                    if !caller.data().called.contains(&name) {
                        caller.data_mut().called.insert(name.clone());
                    }
                    if gives_script {
                        give_script(&mut caller, args)?;
                        out[0] = Val::I32(0);
                    } else if !results.is_empty() {
                        out[0] = Val::I32(answer);
                    }
                    if answer == 0 && STARTS.contains(&name.as_str()) {
                        give_token(&mut caller, args)?;
                    }
                    Ok(())
                })
                .map_err(|e| anyhow::anyhow!("{e}"))?;
        }
        let mut store = Store::new(engine, Seen::default());
        let instance = linker.instantiate(&mut store, module).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        Ok(Self { store, instance })
    }

    /// Calls a callback when the module has it; the result, if there is one.
    fn call(&mut self, name: &str, args: &[u32]) -> Result<()> {
        let Some(function) = self.instance.get_func(&mut self.store, name) else { return Ok(()) };
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(arg.cast_signed())).collect();
        let mut out = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function.call(&mut self.store, &args, &mut out).map_err(|e| anyhow::anyhow!("{name} {args:?}: {e:?}"))
    }

    fn play(&mut self) -> Result<()> {
        self.call("_initialize", &[])?;
        self.call("proxy_on_context_create", &[1, 0])?;
        self.call("proxy_on_configure", &[1, 0])?;
        for id in IDS {
            self.call("proxy_on_context_create", &[id, 1])?;
            self.call("proxy_on_request_headers", &[id, 1, 0])?;
        }
        // As a host would: answers first, then what follows.
        for token in 0..20 {
            self.call("proxy_on_http_call_response", &[1, token, token % 2, 3, 0])?;
            self.call("proxy_on_grpc_close", &[1, token, token % 3])?;
            self.call("proxy_on_grpc_receive", &[1, token, 3])?;
            self.call("proxy_on_tick", &[1])?;
        }
        for id in IDS {
            self.call("proxy_on_request_body", &[id, 3, 1])?;
            self.call("proxy_on_response_headers", &[id, 1, 0])?;
            self.call("proxy_on_response_body", &[id, 3, 0])?;
            self.call("proxy_on_response_trailers", &[id, 1])?;
        }
        // Each callback with contexts, tokens and sizes that nobody knows, and with known ones out of order.
        for callback in CALLBACKS {
            for first in [0, 1, 2, 3, 77, u32::MAX] {
                for rest in [0, 1, 4, 5, 6, 1000] {
                    if callback.name != "proxy_on_context_create" || first > 70 {
                        let mut args = vec![rest; callback.params];
                        args[0] = first;
                        self.call(callback.name, &args)?;
                    }
                }
            }
        }
        for id in IDS {
            self.call("proxy_on_done", &[id])?;
        }
        self.call("proxy_on_done", &[1])
    }
}

/// Each token twice, which no host should do.
fn give_token(caller: &mut Caller<'_, Seen>, args: &[Val]) -> wasmtime::Result<()> {
    let token = caller.data().tokens / 2;
    caller.data_mut().tokens += 1;
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    let place = args.last().map_or(0, |val| val.unwrap_i32().cast_unsigned() as usize);
    memory.write(caller, place, &token.to_le_bytes())?;
    Ok(())
}

fn give_script(caller: &mut Caller<'_, Seen>, args: &[Val]) -> wasmtime::Result<()> {
    let script = SCRIPTS[caller.data().exchanges % SCRIPTS.len()];
    caller.data_mut().exchanges += 1;
    let list = [(&b"x-script"[..], script.as_bytes()), (b":path", b"/"), (b":status", &[0xff])];
    let mut bytes = vec![0; pairs::encoded_len(list.iter().copied())];
    pairs::encode(list.iter().copied(), &mut bytes);
    let allocator = ["malloc", "proxy_on_memory_allocate"].iter().find_map(|name| caller.get_export(name));
    let allocator =
        allocator.and_then(Extern::into_func).ok_or_else(|| wasmtime::Error::msg("no allocator"))?;
    let allocator: TypedFunc<u32, u32> = allocator.typed(&*caller)?;
    let at = allocator.call(&mut *caller, bytes.len() as u32)?;
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    memory.write(&mut *caller, at as usize, &bytes)?;
    let place = |val: &Val| val.unwrap_i32().cast_unsigned() as usize;
    memory.write(&mut *caller, place(&args[1]), &at.to_le_bytes())?;
    memory.write(&mut *caller, place(&args[2]), &(bytes.len() as u32).to_le_bytes())?;
    Ok(())
}
