//! A tiny way to write guests: WAT with helpers, and `'text'` for the address and length of a constant.

use tamis_host::{Engine, EngineOptions, FilterSpec, Module, Stage, StageBuilder};
use tamis_traffic::{Exchange, Headers, Message, Playback, Slot};

/// Imports and helpers that every guest has.
///
/// `$say` logs text, `$num` logs a number, `$show` logs what a function that hands out bytes gave:
/// the status, and after a success the bytes.
const PRELUDE: &str = r#"
(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_header_map_value" (func $get_ (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_header_map_pairs" (func $pairs_ (param i32 i32 i32) (result i32)))
(import "env" "proxy_set_header_map_pairs" (func $set_pairs (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_header_map_size" (func $size_ (param i32 i32) (result i32)))
(import "env" "proxy_get_buffer_bytes" (func $buffer_ (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_send_local_response" (func $reply_ (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_http_call" (func $http_call_ (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
(import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
(import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
(import "env" "proxy_get_status" (func $status_ (param i32 i32 i32) (result i32)))
(import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
(import "env" "proxy_get_property" (func $property_ (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_get_shared_data" (func $shared_ (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_set_shared_data" (func $set_shared (param i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
(import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
(import "env" "proxy_done" (func $done (result i32)))
(import "env" "proxy_grpc_call" (func $grpc_call_ (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_grpc_stream" (func $grpc_stream_ (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_grpc_send" (func $grpc_send (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_grpc_close" (func $grpc_close (param i32) (result i32)))
(import "env" "proxy_grpc_cancel" (func $grpc_cancel (param i32) (result i32)))
(import "env" "envoy_resolve_dns" (func $resolve_ (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
(import "env" "proxy_define_metric" (func $metric (param i32 i32 i32 i32) (result i32)))
(import "env" "proxy_call_foreign_function" (func $foreign_ (param i32 i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
(memory (export "memory") 16)
(global $top (mut i32) (i32.const 131072))
(func (export "MARKER"))
(func (export "proxy_on_memory_allocate") (param $n i32) (result i32)
  (global.set $top (i32.add (global.get $top) (local.get $n)))
  (i32.sub (global.get $top) (local.get $n)))
(func $say (param i32 i32) (drop (call $log (i32.const 2) (local.get 0) (local.get 1))))
(func $digits (param $v i32) (result i32) (local $at i32)
  (local.set $at (i32.const 160))
  (loop $more
    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $v) (i32.const 10))))
    (local.set $v (i32.div_u (local.get $v) (i32.const 10)))
    (br_if $more (local.get $v)))
  (local.get $at))
(func $num (param $v i32) (local $at i32)
  (local.set $at (call $digits (local.get $v)))
  (call $say (local.get $at) (i32.sub (i32.const 160) (local.get $at))))
(func $show (param $status i32) (local $at i32)
  (if (local.get $status) (then (call $num (local.get $status)) (return)))
  (memory.copy (i32.const 200) (i32.load (i32.const 0)) (i32.load (i32.const 4)))
  (i32.store16 (i32.const 198) (i32.const 0x2030))
  (call $say (i32.const 198) (i32.add (i32.const 2) (i32.load (i32.const 4)))))
(func $get (param i32 i32 i32)
  (call $show (call $get_ (local.get 0) (local.get 1) (local.get 2) (i32.const 0) (i32.const 4))))
(func $pairs (param i32) (call $num (call $pairs_ (local.get 0) (i32.const 0) (i32.const 4))) (call $num (i32.load (i32.const 4))))
(func $size (param i32) (call $num (call $size_ (local.get 0) (i32.const 0))))
(func $buffer (param i32 i32 i32)
  (call $show (call $buffer_ (local.get 0) (local.get 1) (local.get 2) (i32.const 0) (i32.const 4))))
(func $property (param i32 i32)
  (call $show (call $property_ (local.get 0) (local.get 1) (i32.const 0) (i32.const 4))))
(func $foreign (param i32 i32 i32 i32) (local $s i32)
  (local.set $s (call $foreign_ (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 16) (i32.const 20)))
  (i64.store (i32.const 0) (i64.load (i32.const 16)))
  (call $show (local.get $s)))
(func $shared (param i32 i32)
  (call $show (call $shared_ (local.get 0) (local.get 1) (i32.const 0) (i32.const 4) (i32.const 8))))
(func $status
  (call $num (call $status_ (i32.const 8) (i32.const 0) (i32.const 4)))
  (call $num (i32.load (i32.const 8)))
  (call $show (i32.const 0)))
(func $reply (param $code i32) (param $body i32) (param $blen i32)
  (call $num (call $reply_ (local.get $code) (i32.const 0) (i32.const 0) (local.get $body) (local.get $blen)
    (i32.const 0) (i32.const 0) (i32.const -1))))
(func $http_call (param $cluster i32) (param $clen i32) (param $headers i32) (param $hlen i32) (param $timeout i32)
  (call $num (call $http_call_ (local.get $cluster) (local.get $clen) (local.get $headers) (local.get $hlen)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (local.get $timeout) (i32.const 12)))
  (call $num (i32.load (i32.const 12))))
(func $grpc_call (param $service i32) (param $slen i32) (param $message i32) (param $mlen i32) (param $timeout i32)
  (call $num (call $grpc_call_ (local.get $service) (local.get $slen) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (local.get $message) (local.get $mlen) (local.get $timeout) (i32.const 12)))
  (call $num (i32.load (i32.const 12))))
(func $grpc_stream (param $service i32) (param $slen i32)
  (call $num (call $grpc_stream_ (local.get $service) (local.get $slen) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 12)))
  (call $num (i32.load (i32.const 12))))
(func $resolve (param i32 i32)
  (call $num (call $resolve_ (local.get 0) (local.get 1) (i32.const 12)))
  (call $num (i32.load (i32.const 12))))
"#;

/// The module of a guest: its functions in WAT, after the prelude.
pub(crate) fn wasm(abi: &str, body: &str) -> Vec<u8> {
    let mut data = String::new();
    let mut at = 1024;
    let mut text = String::new();
    for (index, part) in body.split('\'').enumerate() {
        if index % 2 == 0 {
            text.push_str(part);
            continue;
        }
        let bytes: String = part.bytes().map(|b| format!("\\{b:02x}")).collect();
        data.push_str(&format!("(data (i32.const {at}) \"{bytes}\")\n"));
        text.push_str(&format!("(i32.const {at}) (i32.const {})", part.len()));
        at += part.len();
    }
    let prelude = PRELUDE.replace("MARKER", &format!("proxy_abi_version_{}", abi.replace('.', "_")));
    let prelude = if abi == "0.1.0" {
        prelude
            .lines()
            .filter(|l| !l.contains("proxy_continue_stream\"") && !l.contains("proxy_close_stream\""))
            .collect::<Vec<_>>()
            .join("\n")
    } else {
        prelude
    };
    wat::parse_str(format!("(module {prelude} {data} {text})")).unwrap()
}

pub(crate) fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

pub(crate) fn filter(engine: &Engine, name: &str, body: &str) -> FilterSpec {
    FilterSpec::new(name, Module::load(engine, &wasm("0.2.1", body)).unwrap())
}

/// A stage with one filter.
pub(crate) fn stage(body: &str) -> Stage {
    builder(body).build().unwrap()
}

pub(crate) fn builder(body: &str) -> StageBuilder {
    let engine = engine();
    Stage::builder(&engine).filter(filter(&engine, "a", body))
}

/// A stage with filters `a`, `b`, …
pub(crate) fn chain(bodies: &[&str]) -> Stage {
    let engine = engine();
    let mut builder = Stage::builder(&engine);
    for (index, body) in bodies.iter().enumerate() {
        let name = char::from(b'a' + index as u8).to_string();
        builder = builder.filter(filter(&engine, &name, body));
    }
    builder.build().unwrap()
}

pub(crate) fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().copied().collect()
}

/// `GET /` with a 200 without body.
pub(crate) fn get() -> Exchange {
    let fields =
        [(":authority", "shop"), (":path", "/"), (":method", "GET"), (":scheme", "http"), ("x-in", "1")];
    let request = Message { headers: headers(&fields), ..Message::default() };
    let response =
        Message { headers: headers(&[(":status", "200"), ("server", "up")]), ..Message::default() };
    Exchange { request: Slot::some(request), response: Slot::some(response), ..Exchange::default() }
}

/// `POST /` with this body in these pieces, over HTTP/1, and a 200 with body `ok`.
pub(crate) fn post(pieces: &[&str]) -> Exchange {
    let mut exchange = get();
    let request = exchange.request.get_mut().unwrap();
    request.headers.set_value(2, b"POST");
    request.body.bytes = pieces.concat().into_bytes();
    request.body.chunks = pieces.iter().map(|p| p.len() as u32).collect();
    exchange.response.get_mut().unwrap().body.bytes = b"ok".to_vec();
    exchange
}

pub(crate) fn play(stage: &mut Stage, exchange: &Exchange) -> Playback {
    let mut playback = Playback::default();
    stage.play(exchange, &mut playback);
    playback
}

/// Log lines as text.
pub(crate) fn logs(playback: &Playback) -> Vec<String> {
    playback.logs.iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect()
}

/// Plays one exchange through one filter and compares its log lines.
#[track_caller]
pub(crate) fn check(body: &str, exchange: &Exchange, want: &[&str]) -> Playback {
    let playback = play(&mut stage(body), exchange);
    assert_eq!(logs(&playback), want, "{:?}", playback.faults);
    playback
}

/// Kinds of the faults, by code.
pub(crate) fn faults(playback: &Playback) -> Vec<&'static str> {
    playback.faults.iter().map(|f| f.kind.code()).collect()
}

pub(crate) fn reply_status(playback: &Playback) -> Option<&str> {
    playback.reply.get()?.headers.text(":status")
}

/// A callback that logs its own name and returns 0 or nothing.
pub(crate) fn say(name: &str, params: usize, result: bool) -> String {
    let params = " i32".repeat(params);
    let (ty, zero) = if result { ("(result i32)", "(i32.const 0)") } else { ("", "") };
    format!("(func (export \"proxy_{name}\") (param{params}) {ty} (call $say '{name}') {zero})\n")
}
