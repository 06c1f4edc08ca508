//! What a checker says of exchanges.

use super::*;

fn exchange(number: u64, path: &str) -> Exchange {
    let request = [(":method", "GET"), (":path", path), ("authorization", "Bearer s3cret")];
    let response = [(":status", "200"), ("x", "1"), ("date", "then")];
    let message =
        |fields: &[(&str, &str)]| Message { headers: fields.iter().copied().collect(), ..Message::default() };
    let mut exchange = Exchange {
        request: Slot::some(message(&request)),
        response: Slot::some(message(&response)),
        ..Exchange::default()
    };
    exchange.response.get_or_fill().body.bytes = b"answer".to_vec();
    exchange.place.number = number;
    exchange
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

/// Plays exchanges with these paths through `filter` and shows every result.
fn run(expect: &str, paths: &[&str], filter: impl Fn(&mut Exchange, &mut Playback)) -> Vec<String> {
    let test = good(&format!("filter: .\ncapture: a\nexpect: {expect}"));
    let mut checker = Checker::new(&test);
    for (i, path) in paths.iter().enumerate() {
        let mut exchange = exchange(i as u64 + 1, path);
        let mut playback = identity(&exchange);
        filter(&mut exchange, &mut playback);
        checker.see(&exchange, &playback);
    }
    checker.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn a_closed_stream_is_told_from_one_that_is_not() {
    let close = |_: &mut Exchange, playback: &mut Playback| playback.outcome = Outcome::Reset;
    let expect = "[{ name: shut, closed: true }, { name: open, closed: false }]";
    assert_eq!(run(expect, &["/"], close)[0], "ok: shut (1 of 1 exchanges)");
    let told = run(expect, &["/"], close)[1].clone();
    assert!(told.contains("stream: expected not closed, saw closed"), "{told}");
    let told = run(expect, &["/"], |_, _| {});
    assert!(told[0].contains("stream: expected closed, saw not closed") && told[1].starts_with("ok"));
}

#[test]
fn where_and_others_part_the_exchanges() {
    let expect = r#"
  - { name: all, faults: none }
  - { name: carts, where: 'request.path.startsWith("/cart")', count: 2 }
  - { name: rest, where: others, reply: recorded, upstream: recorded }
  - { name: late, where: 'request.path == "/late"', count: 0 }"#;
    let got = run(expect, &["/cart", "/a", "/cart/2"], |_, _| {});
    let want = [
        "ok: all (3 of 3 exchanges)",
        "ok: carts (2 of 2 exchanges)",
        "ok: rest (1 of 1 exchanges)",
        "ok: late (0 of 0 exchanges)",
    ];
    assert_eq!(got, want);
}

#[test]
fn nothing_matched_is_a_failure() {
    let got = run(r#"[{name: x, where: 'request.path == "/no"', faults: none}]"#, &["/a"], |_, _| {});
    assert_eq!(got, ["failed: x (0 of 0 exchanges)\nnothing matched"]);
    let got = run("[{name: x, faults: none}]", &[], |_, _| {});
    assert_eq!(got, ["failed: x (0 of 0 exchanges)\nnothing matched"]);
}

#[test]
fn a_count_that_does_not_hold_is_a_failure() {
    let got = run("[{name: x, count: '>= 3'}]", &["/a", "/b"], |_, _| {});
    assert_eq!(got, ["failed: x (2 of 2 exchanges)\ncount: expected >= 3, saw 2"]);
}

#[test]
fn an_expression_that_fails_is_a_failure() {
    let got = run("[{name: x, where: request.path > 3, count: 0}]", &["/a"], |_, _| {});
    let want = "failed: x (0 of 0 exchanges)\n\
                `where`: expression cannot be evaluated: `>` does not take string and int";
    assert_eq!(got, [want]);
}

#[test]
fn mismatches_read_well_and_hide_secrets() {
    #[track_caller]
    fn check(expect: &str, filter: impl Fn(&mut Exchange, &mut Playback), want: &[&str]) {
        let got = run(&format!("[{{name: x, {expect}}}]"), &["/a"], filter);
        let mut lines = got[0].lines().skip(2).map(str::trim).collect::<Vec<_>>();
        lines.sort_unstable();
        assert_eq!(lines, want, "{expect}: {}", got[0]);
    }
    fn nothing(_: &mut Exchange, _: &mut Playback) {}
    fn answer(_: &mut Exchange, playback: &mut Playback) {
        playback.upstream.clear();
        playback.outcome = Outcome::Answered(0);
        let reply = playback.reply.get_or_fill();
        reply.headers = [(":status", "403"), ("set-cookie", "sid=abc; Path=/")].into_iter().collect();
        reply.body.bytes = b"no\xff".to_vec();
    }
    check("reply: {status: 200, headers: {x: 1, y: {absent: true}}, body: answer}", nothing, &[]);
    check("reply: {status: '>= 400'}", nothing, &["reply status: expected >= 400, saw 200"]);
    check("reply: {headers: {x: {prefix: a}}}", nothing, &["reply header x: expected prefix a, saw 1"]);
    check(
        "reply: {headers: {y: {present: true}}}",
        nothing,
        &["reply header y: expected any value, saw none"],
    );
    check("reply: {headers: {x: {absent: true}}}", nothing, &["reply header x: expected none, saw 1"]);
    check("reply: {grpc_status: 0}", nothing, &["reply grpc-status: expected 0, saw none"]);
    check(
        "reply: {body: {contains: err}}",
        nothing,
        &["reply body: expected something with err, saw answer"],
    );
    check("reply: {body: ''}", nothing, &["reply body: expected \"\", saw answer"]);
    check("reply: {body: {absent: true}}", nothing, &["reply body: expected none, saw answer"]);
    check(
        "upstream: {path: /b, headers: {authorization: Bearer other}}",
        nothing,
        &[
            "upstream header :path: expected /b, saw /a",
            "upstream header authorization: expected Bearer [redacted, 5 bytes], saw Bearer [redacted, 6 bytes]",
        ],
    );
    check("upstream: none", nothing, &["upstream: expected none, saw the request reached it"]);
    check("upstream: none, reply: {status: 403}", answer, &[]);
    check("upstream: recorded", answer, &["upstream: expected a request, saw nothing: the reply was 403"]);
    check(
        "reply: {headers: {set-cookie: sid=x}, body: yes}",
        answer,
        &[
            "reply body: expected yes, saw no\\xff",
            "reply header set-cookie: expected sid=[redacted, 1 bytes], saw sid=[redacted, 3 bytes]; Path=/",
        ],
    );
    check(
        "reply: recorded",
        answer,
        &[
            "reply: expected as recorded, saw response body: 6 -> 3 bytes, differs from byte 0",
            "reply: expected as recorded, saw response header set-cookie added: sid=[redacted, 3 bytes]; Path=/",
            "reply: expected as recorded, saw response header x removed: 1",
            "reply: expected as recorded, saw response status: 200 -> 403",
        ],
    );
    let noisy = |_: &mut Exchange, playback: &mut Playback| {
        playback.reply.get_or_fill().headers.set_value(2, b"now");
    };
    check("reply: recorded", noisy, &[]);
    let open = |exchange: &mut Exchange, playback: &mut Playback| {
        exchange.response.clear();
        playback.reply.clear();
        playback.outcome = Outcome::Open;
    };
    check("reply: recorded, upstream: recorded", open, &[]);
    check("reply: {status: 200}", open, &["reply: expected one, saw none: the capture has no response"]);
    let broke = |_: &mut Exchange, playback: &mut Playback| {
        let text = "unreachable executed".to_owned();
        let phase = "proxy_on_request_headers";
        playback.faults.push(Fault { kind: FaultKind::Trap, filter: Some(0), phase, text });
        playback.logs.push(Log { filter: 0, level: LogLevel::Critical, text: b"panicked\n".to_vec() });
        playback.filters[0].cost.fuel = 5_000;
    };
    check(
        "faults: none",
        broke,
        &["faults: expected none, saw trap in `proxy_on_request_headers`: unreachable executed"],
    );
    let injected = |_: &mut Exchange, playback: &mut Playback| {
        let (kind, phase) = (FaultKind::InjectedTrap, "proxy_on_request_headers");
        playback.faults.push(Fault { kind, filter: Some(0), phase, text: "as asked for".to_owned() });
    };
    check("faults: none", injected, &[]);
    check("faults: injected-trap", injected, &[]);
    check("faults: injected-trap", nothing, &["faults: expected injected-trap, saw none"]);
    check("faults: trap, logs: {contains: panicked}, cost: {fuel: '<= 5000'}", broke, &[]);
    check("faults: [stuck]", nothing, &["faults: expected stuck, saw none"]);
    check("cost: {fuel: '< 5000'}", broke, &["cost fuel: expected < 5000, saw 5000"]);
    check("logs: none", broke, &["logs: expected none, saw panicked\\n"]);
    check("logs: {lacks: panic}", broke, &["logs: expected no line with panic, saw panicked\\n"]);
    check("logs: {contains: done}", broke, &["logs: expected a line with done, saw 1 lines without it"]);
}

#[test]
fn only_the_first_failures_are_kept_and_all_are_counted() {
    let got = run(
        "[{name: x, reply: {status: 500}}]",
        &["/a?token=s3cret", "/b", "/c", "/d", "/e", "/f", "/g"],
        |_, _| {},
    );
    let lines: Vec<_> = got[0].lines().collect();
    assert_eq!(lines[0], "failed: x (0 of 7 exchanges)");
    assert_eq!(lines[1], "exchange 1 GET /a");
    assert_eq!(lines[2], "  reply status: expected 500, saw 200");
    assert_eq!(lines.len(), 2 + 2 * MAX_FAILURES);
    assert_eq!(lines[11], "2 more");
}

#[test]
fn sent_exchanges_are_held_against_their_own_expectation() {
    let test = good(
        "filter: .\nsend:\n- {request: {path: /}, expect: {reply: {status: 200}}}\n- {request: {path: /b}, expect: {upstream: none}}",
    );
    let mut checker = Checker::new(&test);
    for (i, sent) in test.send.iter().enumerate() {
        checker.see_sent(i, &sent.exchange, &identity(&sent.exchange));
    }
    let got: Vec<_> = checker.finish().iter().map(ToString::to_string).collect();
    assert_eq!(got[0], "ok: send 1: GET / (1 of 1 exchanges)");
    assert!(
        got[1].starts_with("failed: send 2: GET /b (0 of 1 exchanges)\nexchange sent by line 4 GET /b\n"),
        "{}",
        got[1]
    );
    assert!(!Checker::new(&test).finish()[0].passed(), "a sent exchange that was not played");
}

#[test]
fn what_cannot_be_played_is_held_against_nothing_but_its_own_fault() {
    let cut = |_: &mut Exchange, playback: &mut Playback| {
        let text = "the recording has no request".to_owned();
        playback.upstream.clear();
        playback.faults.push(Fault { kind: FaultKind::NotPlayable, filter: None, phase: "", text });
    };
    let expect = "[{name: a, faults: none, upstream: recorded}, {name: b, faults: not-playable, count: 2}]";
    let want = ["failed: a (0 of 0 exchanges)\nnothing matched", "ok: b (2 of 2 exchanges)"];
    assert_eq!(run(expect, &["/a", "/b"], cut), want);
}
