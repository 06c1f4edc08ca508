//! Cost of a verdict, a selection and a check on one exchange with 20 headers. `cargo bench -p tamis-traffic`.
#![allow(clippy::print_stdout, reason = "a bench prints")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use tamis_traffic::expect::{Checker, TrafficTest};
use tamis_traffic::select::Where;
use tamis_traffic::{
    Exchange, FilterTrace, Headers, Message, Outcome, Playback, Slot, Verdict, compare_into, route_into,
};

/// Short passes, so that many fit between two interruptions by the rest of the machine.
const ROUNDS: u32 = 500;
const PASSES: u32 = 1_000;

fn message(first: &[(&str, &str)]) -> Message {
    let mut headers: Headers = first.iter().copied().collect();
    for i in headers.len()..20 {
        headers.push(format!("x-header-{i}").as_bytes(), b"some value of a usual length");
    }
    let mut message = Message { headers, ..Message::default() };
    message.body.bytes = vec![b'b'; 256];
    message
}

fn exchange() -> Exchange {
    let request =
        [(":method", "GET"), (":path", "/orders/17?q=1"), (":authority", "shop"), ("user-agent", "curl/8")];
    Exchange {
        request: Slot::some(message(&request)),
        response: Slot::some(message(&[(":status", "200"), ("content-type", "text/plain")])),
        ..Exchange::default()
    }
}

fn identity(exchange: &Exchange) -> Playback {
    Playback {
        upstream: exchange.request.clone(),
        reply: exchange.response.clone(),
        outcome: Outcome::Forwarded,
        filters: vec![FilterTrace { reached: true, ..FilterTrace::default() }],
        ..Playback::default()
    }
}

/// The same fields in another layout of memory.
fn rebuilt(headers: &Headers) -> Headers {
    let mut other: Headers = [("gone", "gone")].into_iter().collect();
    other.extend(headers.iter());
    other.remove_at(0);
    other
}

/// The best pass: what else runs on the machine only ever adds.
fn time(name: &str, mut step: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..PASSES {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            step();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    println!("{name:<44} {best:>8.0} ns");
}

fn main() {
    let exchange = exchange();
    let compared = |name: &str, edit: &dyn Fn(&mut Message)| {
        let mut playback = identity(&exchange);
        edit(playback.upstream.get_or_fill());
        let mut verdict = Verdict::default();
        time(name, || compare_into(black_box(&exchange), black_box(&playback), &mut verdict));
        black_box(&verdict);
    };
    compared("compare: unchanged", &|_| {});
    compared("compare: unchanged, other layout", &|request| request.headers = rebuilt(&request.headers));
    compared("compare: header added", &|request| request.headers.push(b"x-new", b"value"));
    compared("compare: header replaced (moves to the end)", &|request| {
        request.headers.remove(b"x-header-10");
        request.headers.push(b"x-header-10", b"new");
    });
    compared("compare: path changed in its place", &|request| request.headers.set_value(1, b"/b"));

    let mut route = String::new();
    time("route of an HTTP exchange", || route_into(black_box(&exchange), &mut route));

    for text in [
        r#"request.path.startsWith("/orders")"#,
        r#"request.path.matches("^/orders/[0-9]+")"#,
        r#"request.method == "GET" && !("authorization" in request.headers)"#,
    ] {
        let condition = Where::parse(text).expect("the expression is right");
        time(text, || {
            let _ = black_box(condition.matches(black_box(&exchange)));
        });
    }

    let test = "filter: .\ncapture: a\nexpect: {faults: none, upstream: recorded, reply: {status: 200}}";
    let test = TrafficTest::parse(Path::new("bench.yaml"), test).expect("the test is right");
    let playback = identity(&exchange);
    let mut checker = Checker::new(&test);
    time("check: faults, upstream, reply status", || checker.see(black_box(&exchange), black_box(&playback)));
    assert!(checker.finish().iter().all(tamis_traffic::expect::CheckResult::passed));
}
