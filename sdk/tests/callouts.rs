//! Callouts of all kinds, played natively.

use std::cell::RefCell;
use std::time::Duration;
use tamis_sdk::callout::CalloutError;
use tamis_sdk::future::{Either, join, join_all, race};
use tamis_sdk::grpc::{Call, GrpcError};
use tamis_sdk::prelude::*;
use tamis_sdk::retry::{Budget, Retry};
use tamis_sdk::testing::{Answer, GrpcAnswer, Message, Played, Proxy};
use tamis_sdk::{Limit, metrics};

struct Probe {
    root: Root,
    limit: Limit,
    retry: Retry,
    /// Held over exchanges.
    kept: RefCell<Option<Request>>,
}

fn ask(path: &str) -> Callout {
    Callout::get("svc", "svc.test", path)
}

fn call() -> Call {
    Call::new("svc", "a.B", "C")
}

fn told<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>) -> String {
    result.map_or_else(|error| error.to_string(), |value| format!("{value:?}"))
}

impl Probe {
    async fn answer(&self, path: &str) -> Result<String> {
        Ok(match path {
            "/http" => match ask("/").send().await {
                Ok(reply) => reply.status().to_string(),
                Err(CalloutError::Timeout) => "timeout".into(),
                Err(error) => error.to_string(),
            },
            "/join" => {
                let (a, b) = join(ask("/a").send(), ask("/b").send()).await;
                format!("{} {}", a?.status(), b?.status())
            }
            "/all" => {
                let calls = ["/1", "/2", "/3"].map(|path| ask(path).send());
                let all = join_all(calls).await;
                all.into_iter().map(|reply| told(reply.map(|r| r.status()))).collect::<Vec<_>>().join(" ")
            }
            "/race" => match race(ask("/silent").send(), ask("/").send()).await {
                Either::First(_) => "first".into(),
                Either::Second(_) => "second".into(),
            },
            "/deadline" => {
                let sleep = self.root.sleep(Duration::from_millis(30));
                match race(ask("/silent").send(), sleep).await {
                    Either::First(_) => "answered".into(),
                    Either::Second(()) => "too late".into(),
                }
            }
            "/limit" => {
                let calls = ["/1", "/2", "/3"].map(|path| self.limit.run(ask(path).send()));
                let all = join_all(calls).await;
                all.into_iter()
                    .map(|r| told(r.map(|r| told(r.map(|r| r.status())))))
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            "/retry" => told(self.retry.send(ask("/")).await.map(|reply| reply.status())),
            "/retry-post" => {
                let post = Callout::post("svc", "svc.test", "/", "x");
                told(self.retry.send(post).await.map(|reply| reply.status()))
            }
            "/grpc" => match call().metadata("x-a", "1").send(b"question").await {
                Ok(answer) => String::from_utf8_lossy(&answer).into_owned(),
                Err(GrpcError::Failed(why)) => {
                    format!("{} {} {} {}", why.code, why.message, why.is_from_service(), why.is_timeout())
                }
                Err(error) => error.to_string(),
            },
            "/grpc-dropped" => match race(call().send(b"x"), ask("/").send()).await {
                Either::First(_) => "first".into(),
                Either::Second(_) => "second".into(),
            },
            "/stream" => {
                let mut stream = call().open()?;
                stream.send(b"one")?;
                stream.send(b"two")?;
                stream.finish()?;
                let late = told(stream.send(b"three"));
                let mut all = Vec::new();
                while let Some(message) = stream.receive().await? {
                    all.push(String::from_utf8_lossy(&message).into_owned());
                }
                format!("{} {late} {}", all.join(" "), told(stream.send(b"x")))
            }
            "/stream-error" => {
                let mut stream = call().open()?;
                stream.send(b"one")?;
                let first = told(stream.receive().await);
                format!("{first} {}", told(stream.receive().await))
            }
            "/stream-dropped" => {
                call().open()?.send(b"one")?;
                "gone".into()
            }
            "/stream-flood" => {
                let mut stream = call().open()?;
                stream.send(b"flood")?;
                let _ = ask("/").send().await;
                let mut messages = 0;
                loop {
                    match stream.receive().await {
                        Ok(Some(_)) => messages += 1,
                        other => break format!("{messages} {}", told(other)),
                    }
                }
            }
            _ => String::new(),
        })
    }
}

impl Filter for Probe {
    type Config = ();

    fn new((): (), root: &Root) -> Result<Self> {
        let retry = Retry::new(root, Budget::new(0, 3)).tries(3).pause(Duration::from_millis(20));
        Ok(Self { root: root.clone(), limit: Limit::new(1, 1), retry, kept: RefCell::default() })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let path = String::from_utf8_lossy(request.path().unwrap_or_default()).into_owned();
        match &*path {
            "/keep" => {
                *self.kept.borrow_mut() = Some(request);
                return Ok(Reply::new(204).into());
            }
            "/other" => {
                let mut kept = self.kept.borrow_mut();
                let kept = kept.as_mut().ok_or_else(|| Error::msg("none kept"))?;
                let error = kept.headers_mut().set("x-stolen", "1").err();
                request.headers_mut().set("x-told", told(error.map_or(Ok(()), Err)))?;
                request.headers_mut().set("x-read", kept.headers().len().to_string())?;
            }
            _ => {
                let told = self.answer(&path).await?;
                request.headers_mut().set("x-told", told)?;
            }
        }
        metrics::counter("went_on").add(1);
        next.run(request).await
    }
}

fn proxy() -> Proxy {
    Proxy::start::<Probe>("").expect("starts")
}

fn ok() -> Answer {
    Answer::Reply(Message::response(200))
}

#[track_caller]
fn text(played: &Played) -> String {
    played.upstream.as_ref().and_then(|up| up.text("x-told")).unwrap_or_else(|| format!("{played:?}"))
}

fn ask_once(path: &str, mut service: impl FnMut(&str) -> Answer + 'static) -> String {
    let mut proxy = proxy().service(move |_, message| service(&message.text(":path").unwrap_or_default()));
    text(&proxy.play(Message::get(path)))
}

#[test]
fn an_answer_of_the_proxy_is_told_from_one_of_the_service() {
    let late = "upstream request timeout";
    assert_eq!(ask_once("/http", |_| Answer::Timeout), "timeout");
    assert_eq!(ask_once("/http", move |_| Answer::Reply(Message::response(504).body(late))), "504");
    assert!(
        ask_once("/http", |_| Answer::Unreachable).contains("could not reach the service: upstream connect")
    );
    assert_eq!(ask_once("/http", |_| Answer::Reply(Message::response(503))), "503");
    assert!(ask_once("/http", |_| Answer::Reset).contains("broke"));
}

#[test]
fn several_at_once() {
    assert_eq!(ask_once("/join", |_| ok()), "200 200");
    let mixed = |path: &str| if path == "/2" { Answer::Timeout } else { ok() };
    assert_eq!(ask_once("/all", mixed), "200 the callout took too long 200");
    assert_eq!(ask_once("/race", |path| if path == "/silent" { Answer::Silence } else { ok() }), "second");
}

#[test]
fn a_deadline_over_a_callout_that_is_not_answered() {
    let mut proxy = proxy().patience(Duration::from_millis(29));
    assert_eq!(proxy.play(Message::get("/deadline")).upstream, None, "a millisecond is missing");
    let mut proxy = proxy.patience(Duration::from_millis(30));
    assert_eq!(text(&proxy.play(Message::get("/deadline"))), "too late");
    assert_eq!(proxy.metric("went_on"), Some(1));
}

#[test]
fn so_many_run_at_once_and_the_rest_is_told() {
    assert_eq!(ask_once("/limit", |_| ok()), "\"200\" \"200\" too much of this is under way");
}

#[test]
fn retries_have_a_budget_and_mind_the_method() {
    let mut proxy = proxy().patience(Duration::from_secs(1)).service(|_, _| Answer::Timeout);
    let mut calls = |path: &str| {
        let played = proxy.play(Message::get(path));
        assert_eq!(text(&played), "the callout took too long");
        played.callouts.len()
    };
    assert_eq!(calls("/retry-post"), 1, "it may have got there");
    assert_eq!(calls("/retry"), 3);
    assert_eq!(calls("/retry"), 2, "the budget of three retries is used up");
    assert_eq!(calls("/retry"), 1);
}

#[test]
fn the_first_good_answer_ends_the_tries() {
    let mut left = 1;
    let service = move |_: &str, _: &Message| match std::mem::take(&mut left) {
        1 => Answer::Reply(Message::response(503)),
        _ => ok(),
    };
    let played = proxy().patience(Duration::from_secs(1)).service(service).play(Message::get("/retry"));
    assert_eq!((text(&played), played.callouts.len()), ("200".into(), 2));
}

#[test]
fn a_grpc_call_has_a_message_or_a_failure() {
    let grpc = |answer: Answer| ask_once("/grpc", move |_| answer.clone());
    let many = GrpcAnswer { messages: vec![b"one".into(), b"two".into()], status: None };
    assert_eq!(grpc(Answer::Grpc(many)), "two", "docs/envoy.md 2.7: the last one");
    assert_eq!(grpc(Answer::Grpc(GrpcAnswer::status(7, "no"))), "7 no true false");
    assert_eq!(grpc(Answer::Timeout), "14 upstream request timeout false true");
    assert!(grpc(Answer::Unreachable).starts_with("14 upstream connect error"));
    let mut proxy = proxy().clusters(&["other"]);
    assert!(text(&proxy.play(Message::get("/grpc"))).contains("cluster `svc` could not start"));
}

#[test]
fn a_grpc_call_says_what_it_is() {
    let mut proxy = proxy().service(|_, _| Answer::Grpc(GrpcAnswer::message("a")));
    let played = proxy.play(Message::get("/grpc"));
    let called = &played.callouts[0];
    assert_eq!((&*called.cluster, &called.message.body[..]), ("svc", &b"question"[..]));
    assert_eq!(called.message.text(":path"), Some("/a.B/C".into()));
    assert_eq!(called.message.text("x-a"), Some("1".into()));
}

#[test]
fn who_waits_no_more_cancels() {
    let both = |_: &str, message: &Message| if message.body.is_empty() { ok() } else { Answer::Silence };
    let mut proxy = proxy().service(both);
    assert_eq!(text(&proxy.play(Message::get("/grpc-dropped"))), "second");
    assert_eq!(proxy.cancelled(), 1);
    assert_eq!(proxy.play(Message::get("/grpc")).upstream, None, "held until the client left");
    assert_eq!(proxy.cancelled(), 2, "with the stream");
    assert_eq!(text(&proxy.play(Message::get("/stream-dropped"))), "gone");
    assert_eq!(proxy.cancelled(), 3);
}

#[test]
fn a_stream_gives_what_came_and_then_its_end() {
    let echo = |_: &str, message: &Message| Answer::Grpc(GrpcAnswer::message(message.body.clone()));
    let closed = "the gRPC stream is closed";
    assert_eq!(
        text(&proxy().service(echo).play(Message::get("/stream"))),
        format!("one two {closed} {closed}")
    );
    let failing = |_: &str, _: &Message| {
        Answer::Grpc(GrpcAnswer { messages: vec![b"a".to_vec()], status: Some((5, "gone".into())) })
    };
    let told = text(&proxy().service(failing).play(Message::get("/stream-error")));
    assert_eq!(told, "Some([97]) the gRPC call failed with 5: gone");
}

#[test]
fn a_stream_that_nobody_reads_is_bounded() {
    let flood = |_: &str, message: &Message| match message.body.is_empty() {
        true => ok(),
        false => Answer::Grpc(GrpcAnswer { messages: vec![vec![0; 400_000]; 5], status: None }),
    };
    let mut proxy = proxy().service(flood);
    assert_eq!(
        text(&proxy.play(Message::get("/stream-flood"))),
        "2 more came on the gRPC stream than it keeps"
    );
}

#[test]
fn headers_of_another_exchange_are_out_of_reach() {
    let mut proxy = proxy();
    proxy.play(Message::get("/keep"));
    let up = proxy.play(Message::get("/other")).upstream.expect("forwarded");
    assert_eq!(up.text("x-told"), Some("the headers are not in hand any more".into()));
    assert_eq!((up.text("x-stolen"), up.text("x-read")), (None, Some("4".into())), "its own, as they were");
}

#[test]
fn a_call_has_one_path_and_one_host() {
    for name in [":path", ":x", "Host"] {
        let call = std::pin::pin!(ask("/").header(name, "x").send());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let told = Future::poll(call, &mut context);
        assert!(matches!(told, std::task::Poll::Ready(Err(CalloutError::BadHeaders(_)))), "{name}");
    }
}
