//! A filter that can do everything, played natively.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tamis_sdk::callout::CalloutError;
use tamis_sdk::prelude::*;
use tamis_sdk::testing::{Answer, Message, Proxy};
use tamis_sdk::{LogLevel, metrics, shared};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    pass: bool,
    #[serde(default)]
    reply: Option<u16>,
}

struct Probe {
    pass: bool,
    reply: Option<u16>,
    root: Root,
}

struct SayGoodbye;

impl Drop for SayGoodbye {
    fn drop(&mut self) {
        tamis_sdk::log::info!("dropped");
    }
}

fn idp() -> Callout {
    Callout::get("idp", "idp.test", "/check")
}

impl Filter for Probe {
    type Config = Config;

    fn new(config: Config, root: &Root) -> Result<Self> {
        root.every(Duration::from_millis(300), || metrics::counter("slow").add(1));
        root.every(Duration::from_millis(200), || metrics::counter("quick").add(1));
        Ok(Self { pass: config.pass, reply: config.reply, root: root.clone() })
    }

    fn on_error(&self) -> OnError {
        match self.reply {
            Some(status) => OnError::Reply(Reply::new(status)),
            None if self.pass => OnError::Pass,
            None => OnError::Deny,
        }
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let path = request.path().map(<[u8]>::to_vec).unwrap_or_default();
        match &path[..] {
            b"/deny" => return Ok(Reply::new(403).header("x-why", "no").header("bad name", "x").into()),
            b"/limit" => return Err(Reply::new(429).into()),
            b"/fail" => return Err(Error::msg("broken")),
            b"/call" => {
                let status = match idp().header("authorization", "x").send().await {
                    Ok(reply) => reply.status().to_string(),
                    Err(error) => error.to_string(),
                };
                request.headers_mut().set("x-idp", status)?;
            }
            b"/text" => match idp().header("x", b"\xff").send().await {
                Err(CalloutError::BadHeaders(why)) => request.headers_mut().set("x-why", why)?,
                other => return Err(Error::msg(format!("{other:?}"))),
            },
            b"/hold" => {
                let _goodbye = SayGoodbye;
                std::future::pending::<()>().await;
            }
            b"/spin" => {
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    Poll::<()>::Pending
                })
                .await
            }
            b"/yield" => {
                let mut left = 20;
                poll_fn(move |context| {
                    left -= 1;
                    context.waker().wake_by_ref();
                    if left == 0 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            b"/patient" => {
                let mut left = 50;
                poll_fn(move |context| {
                    left -= 1;
                    context.waker().wake_by_ref();
                    if left == 0 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            b"/background" => self.root.spawn(async {
                let good = idp().send().await.is_ok_and(|reply| reply.is_success());
                metrics::gauge("background").set(good.into());
            }),
            b"/shout" => request.body().transform(|piece, _| {
                piece.make_ascii_uppercase();
                Ok(())
            }),
            b"/whole" => request.body().rewrite(8, |body| Ok([b"<", &body[..], b">"].concat())),
            b"/look" => request.body().inspect(|piece, _| match piece {
                b"evil" => Err(Reply::new(406).into()),
                b"odd" => Err(Error::msg("odd")),
                _ => Ok(()),
            }),
            b"/trailers" => request.on_trailers(|trailers| {
                let seen = trailers.len().to_string();
                trailers.remove("t")?;
                Ok(trailers.set("x-seen", seen)?)
            }),
            b"/bad-trailers" => request.on_trailers(|_| Err(Reply::new(400).into())),
            b"/count" => {
                shared::update("n", 3, |n| Some(vec![n.map_or(0, |n| n[0]) + 1]))?;
            }
            _ => {}
        }
        let mut response = next.run(request).await?;
        match &path[..] {
            b"/replace" => return Ok(Reply::new(502).body("other").into()),
            b"/late-call" => response.headers_mut().set("x-idp", idp().send().await?.status().to_string())?,
            b"/late-fail" => return Err(Error::msg("late")),
            b"/wrap" => {
                if let Some(body) = response.body() {
                    body.rewrite(100, |body| Ok([b"[", &body[..], b"]"].concat()));
                }
            }
            _ => {}
        }
        response.headers_mut().set("x-seen", "1")?;
        Ok(response)
    }
}

fn proxy() -> Proxy {
    Proxy::start::<Probe>("{}").expect("good configuration")
}

fn ok(_: &str, _: &Message) -> Answer {
    Answer::Reply(Message::response(204))
}

#[test]
fn a_request_goes_up_and_the_response_comes_back() {
    let played = proxy().play(Message::get("/").header("x-odd", b"\xe9"));
    let up = played.upstream.expect("forwarded");
    assert_eq!(up.headers.last(), Some(&(b"x-odd".to_vec(), vec![0xe9])));
    let reply = played.reply.expect("answered");
    assert_eq!((reply.status(), reply.text("x-seen")), (200, Some("1".into())));
}

#[test]
fn connect_without_a_path_is_fine() {
    let mut request = Message::request("CONNECT", "/");
    request.headers.retain(|(name, _)| name != b":path");
    assert!(proxy().play(request).upstream.is_some());
}

#[test]
fn a_reply_is_the_answer_and_is_not_handled_as_a_response() {
    let played = proxy().play(Message::get("/deny"));
    let reply = played.reply.expect("answered");
    assert_eq!((reply.status(), reply.text("x-why"), reply.text("x-seen")), (403, Some("no".into()), None));
    assert_eq!((played.upstream, played.grpc_status), (None, Some(-1)));
    assert!(played.logs.iter().any(|(level, line)| *level == LogLevel::Warn && line.contains("bad name")));
}

#[test]
fn a_reply_may_leave_as_an_error_without_being_counted() {
    let mut proxy = proxy();
    let played = proxy.play(Message::get("/limit"));
    assert_eq!(played.reply.map(|reply| reply.status()), Some(429));
    assert_eq!(played.grpc_status, Some(8), "docs/filters.md 2.22: not 14");
    assert_eq!(proxy.metric("tamis.filter_errors"), None);
}

#[test]
fn a_failure_denies_or_passes_and_is_logged_and_counted_once() {
    for (config, status) in [("{}", 500), (r#"{"pass":true}"#, 200), (r#"{"reply":503}"#, 503)] {
        for path in ["/fail", "/late-fail"] {
            let mut proxy = Proxy::start::<Probe>(config).expect("good");
            let played = proxy.play(Message::get(path));
            assert_eq!(played.reply.map(|reply| reply.status()), Some(status), "{config} {path}");
            assert_eq!(played.logs.len(), 1);
            assert_eq!(proxy.metric("tamis.filter_errors"), Some(1));
        }
    }
}

#[test]
fn callouts_hold_the_request_and_the_response() {
    let mut proxy = proxy().service(ok);
    let played = proxy.play(Message::get("/call"));
    assert_eq!(played.upstream.and_then(|up| up.text("x-idp")), Some("204".into()));
    assert_eq!(played.callouts[0].cluster, "idp");
    assert_eq!(played.callouts[0].message.text("authorization"), Some("x".into()));
    assert_eq!(played.callouts[0].timeout, Duration::from_secs(5));
    let played = proxy.play(Message::get("/late-call"));
    assert_eq!(played.reply.and_then(|reply| reply.text("x-idp")), Some("204".into()));
}

#[test]
fn failed_callouts_are_typed() {
    let x_idp = |proxy: &mut Proxy| {
        proxy.play(Message::get("/call")).upstream.and_then(|up| up.text("x-idp")).unwrap_or_default()
    };
    assert!(x_idp(&mut proxy().service(|_, _| Answer::Reset)).contains("broke"));
    assert!(x_idp(&mut proxy().clusters(&["other"])).contains("`idp` is not known"));
    let played = proxy().play(Message::get("/text"));
    let why = played.upstream.and_then(|up| up.text("x-why"));
    assert_eq!(why, Some("the value of header `x` is not UTF-8".into()));
}

#[test]
fn a_silent_service_holds_the_request_and_the_end_drops_the_future() {
    assert_eq!(proxy().play(Message::get("/call")).reply, None);
    let played = proxy().play(Message::get("/hold"));
    assert_eq!((played.upstream, played.reply), (None, None));
    assert_eq!(played.logs, [(LogLevel::Info, "dropped".into())]);
}

#[test]
fn a_future_that_always_wakes_itself_does_not_hang() {
    assert_eq!(proxy().play(Message::get("/spin")).reply, None);
    assert_eq!(
        proxy().play(Message::get("/patient")).upstream,
        None,
        "not resumed in its own phase (docs/envoy.md 2.4)"
    );
    assert!(proxy().play(Message::get("/yield")).reply.is_some(), "waking oneself a few times is fine");
}

#[test]
fn background_work_outlives_the_exchange() {
    let mut proxy = proxy().service(ok);
    proxy.play(Message::get("/background"));
    assert_eq!(proxy.metric("background"), Some(1));
}

#[test]
fn timers_share_the_hosts_timer() {
    let mut proxy = proxy();
    proxy.advance(Duration::from_millis(1250));
    assert_eq!((proxy.metric("slow"), proxy.metric("quick")), (Some(4), Some(6)));
}

#[test]
fn bodies_are_changed_and_content_length_goes() {
    let send = |path: &str, body: &str| {
        let length = body.len().to_string();
        proxy().play(Message::request("POST", path).header("content-length", length).body(body))
    };
    let up = send("/shout", "abc").upstream.expect("forwarded");
    assert_eq!((&up.body[..], up.text("content-length")), (&b"ABC"[..], None));
    let up = send("/whole", "abc").upstream.expect("forwarded");
    assert_eq!((&up.body[..], up.text("content-length")), (&b"<abc>"[..], None));
    let up = send("/look", "abc").upstream.expect("forwarded");
    assert_eq!((&up.body[..], up.text("content-length")), (&b"abc"[..], Some("3".into())));
    let up = proxy().play(Message::get("/whole").header("content-length", "0")).upstream.expect("forwarded");
    assert_eq!(up.text("content-length"), Some("0".into()), "no body, nothing to change");
}

#[test]
fn bodies_are_refused() {
    let status = |path: &str, body: &str| {
        proxy().play(Message::request("POST", path).body(body)).reply.map(|reply| reply.status())
    };
    assert_eq!(status("/look", "evil"), Some(406));
    assert_eq!(status("/look", "odd"), Some(500));
    assert_eq!(status("/whole", "123456789"), Some(413));
}

/// Facts 2.3: with trailers no last piece comes.
#[test]
fn trailers_end_a_held_body() {
    let played = proxy().play(Message::request("POST", "/whole").body("abc").trailer("t", "1"));
    let up = played.upstream.expect("forwarded");
    assert_eq!((&up.body[..], up.trailers.len()), (&b"<abc>"[..], 1));
}

#[test]
fn trailers_are_shown_and_changed() {
    let send = |path: &str, trailer: bool| {
        let request = Message::request("POST", path).body("abc");
        proxy().play(if trailer { request.trailer("t", "1") } else { request })
    };
    let up = send("/trailers", true).upstream.expect("forwarded");
    assert_eq!(up.trailers, [(b"x-seen".to_vec(), b"1".to_vec())]);
    assert_eq!(send("/trailers", false).upstream.map(|up| up.trailers.len()), Some(0));
    assert_eq!(send("/bad-trailers", true).reply.map(|reply| reply.status()), Some(400));
}

#[test]
fn responses_are_wrapped_or_replaced() {
    let mut proxy = proxy().upstream(|_| Message::response(200).header("content-length", "2").body("hi"));
    let reply = proxy.play(Message::get("/wrap")).reply.expect("answered");
    assert_eq!((&reply.body[..], reply.text("content-length")), (&b"[hi]"[..], None));
    let reply = proxy.play(Message::get("/replace")).reply.expect("answered");
    assert_eq!((reply.status(), &reply.body[..]), (502, &b"other"[..]));
}

#[test]
fn shared_values_survive_exchanges() {
    let mut proxy = proxy();
    for _ in 0..3 {
        assert!(proxy.play(Message::get("/count")).upstream.is_some());
    }
    assert_eq!(shared::get("n").expect("readable").map(|n| n.value), Some(vec![3]));
}

#[test]
fn a_bad_configuration_says_where() {
    let error = Proxy::start::<Probe>("{\n \"pass\": 1}").err().expect("refused");
    assert!(error.contains("configuration at `pass`: invalid type") && error.contains("line 2"), "{error}");
}
