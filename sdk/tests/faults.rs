//! What goes wrong with the bare crate (its behaviours by number, see docs/sdk.md) and cannot here, as far as it needs no
//! wasm. The others are in tests/tests/sdk_faults.rs.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tamis_sdk::callout::CalloutError;
use tamis_sdk::headers::HeaderError;
use tamis_sdk::prelude::*;
use tamis_sdk::property::{self, PropertyError};
use tamis_sdk::testing::{Answer, Message, Proxy};
use tamis_sdk::{HostError, LogLevel, Status, log, metrics};

type Handle = fn(Request, Next, Root) -> std::pin::Pin<Box<dyn Future<Output = Result<Response>>>>;

thread_local! {
    static HANDLE: Cell<Option<Handle>> = const { Cell::new(None) };
}

/// A filter that does what the test says.
struct Told(Root);

impl Filter for Told {
    type Config = ();

    fn new((): (), root: &Root) -> Result<Self> {
        Ok(Self(root.clone()))
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        match HANDLE.get() {
            Some(handle) => handle(request, next, self.0.clone()).await,
            None => next.run(request).await,
        }
    }
}

fn proxy(handle: Handle) -> Proxy {
    HANDLE.set(Some(handle));
    Proxy::start::<Told>("").expect("starts")
}

/// 1. A byte above 0x7f in a header ends the VM.
#[test]
fn fault_1_no_byte_of_a_header_panics() {
    let mut proxy = proxy(|mut request, next, _| {
        Box::pin(async move {
            for (name, _) in request.headers().clone().iter() {
                let _ = (request.headers().text(name), request.headers().get_single(name));
            }
            let read = (request.id(), request.is_grpc(), request.query().map(<[u8]>::len));
            request.headers_mut().set("x-read", format!("{read:?}"))?;
            let mut response = next.run(request).await?;
            let status = format!("{:?}", response.status());
            response.headers_mut().set("x-status", status)?;
            Ok(response)
        })
    });
    for byte in 0..=255 {
        let mut request = Message::get("/");
        request.headers[1].1 = vec![b'/', byte, b'?', byte];
        let request =
            request.header("x-request-id", [byte]).header("content-type", [byte]).header([byte], [byte]);
        assert!(proxy.play(request).upstream.is_some(), "{byte:#x}");
    }
    let mut odd = proxy.upstream(|_| Message::default().header(":status", [0xe9]).header("x", [0xff; 40]));
    assert_eq!(
        odd.play(Message::get("/")).reply.and_then(|reply| reply.text("x-status")),
        Some("None".into())
    );
}

/// 2. A status that a wrapper does not expect is a panic.
#[test]
fn fault_2_what_the_host_refuses_is_an_error() {
    // On the root there is no stream; natively the foreign functions are not there either.
    assert_eq!(property::bytes(&["request"]), Err(PropertyError::NotHere));
    assert_eq!(property::bytes(&[]), Err(PropertyError::BadName));
    let missing = tamis_sdk::foreign::call("x", b"").map_err(|error| error.status);
    assert_eq!(missing, Err(Status::NotFound));
}

/// 3. Numbers outside its enumeration are undefined behaviour.
#[test]
fn fault_3_a_status_may_be_any_number() {
    for number in (0..20).chain([255, u32::MAX]) {
        let error = HostError { what: "x", status: Status(number) };
        assert!(error.to_string().ends_with(&format!("({number})")), "{error}");
        let callout = CalloutError::Host(Status(number));
        assert!(callout.to_string().contains(&number.to_string()));
    }
}

/// 5. Of a repeated header only the first value is reachable.
#[test]
fn fault_5_repeats_are_seen() {
    let mut proxy = proxy(|request, next, _| {
        Box::pin(async move {
            let headers = request.headers();
            assert_eq!(headers.get_all("x-key").collect::<Vec<_>>(), [b"a", b"b"]);
            assert_eq!(headers.get_single("x-key"), Err(HeaderError::Repeated("x-key".into())));
            next.run(request).await
        })
    });
    assert!(proxy.play(Message::get("/").header("x-key", "a").header("x-key", "b")).upstream.is_some());
}

/// 6. That an HTTP call failed shows in a count of headers at best, and a timeout not at all.
#[test]
fn fault_6_each_end_of_a_call_has_a_type() {
    for answer in [Answer::Timeout, Answer::Unreachable, Answer::Reset] {
        thread_local! {
            static SEEN: std::cell::RefCell<Option<CalloutError>> = const { std::cell::RefCell::new(None) };
        }
        let proxy = proxy(|request, next, _| {
            Box::pin(async move {
                SEEN.set(Callout::get("a", "a", "/").send().await.err());
                next.run(request).await
            })
        });
        let told = answer.clone();
        proxy.service(move |_, _| answer.clone()).play(Message::get("/"));
        let is_right = match SEEN.take() {
            Some(CalloutError::Timeout) => told == Answer::Timeout,
            Some(CalloutError::Unreachable(_)) => told == Answer::Unreachable,
            Some(CalloutError::Reset) => told == Answer::Reset,
            _ => false,
        };
        assert!(is_right, "{told:?}");
    }
}

/// 7. An answer for a stream that is gone panics, and leaves its token for ever.
#[test]
fn fault_7_answers_that_nobody_waits_for_are_dropped() {
    let mut proxy = proxy(|_, _, root| {
        Box::pin(async move {
            // Answered after the exchange is over, by the root; then for nobody.
            let call = Callout::get("a", "a", "/").send();
            root.spawn(async {
                metrics::counter("answered").add(u32::from(call.await.is_ok()));
            });
            let _ = Callout::get("a", "a", "/silent").send().await;
            Ok(Reply::new(200).into())
        })
    })
    .service(|_, message| match message.text(":path").as_deref() {
        Some("/silent") => Answer::Silence,
        _ => Answer::Reply(Message::response(200)),
    });
    assert_eq!(proxy.play(Message::get("/")).reply, None, "the client left");
    assert_eq!(proxy.metric("answered"), Some(1));
}

/// 8. It holds borrows while the author's code runs.
#[test]
fn fault_8_everything_may_be_called_from_everywhere() {
    struct Busy(Root);
    impl Drop for Busy {
        fn drop(&mut self) {
            everything(&self.0);
        }
    }
    fn everything(root: &Root) {
        root.every(Duration::from_millis(1), || {});
        root.spawn(async {});
        metrics::counter("everything").add(1);
        let _ = tamis_sdk::shared::update("k", 1, |_| Some(vec![1]));
        log::info!("everything");
        drop(Callout::get("a", "a", "/").send());
        drop(root.sleep(Duration::ZERO));
    }
    let mut proxy = proxy(|mut request, next, root| {
        Box::pin(async move {
            let (timer, hook, task) = (root.clone(), root.clone(), Busy(root.clone()));
            root.every(Duration::from_millis(2), move || everything(&timer));
            root.spawn(async move {
                everything(&task.0);
                poll_fn(|_| Poll::<()>::Pending).await;
            });
            request.body().inspect(move |_, _| {
                everything(&hook);
                Ok(())
            });
            let held = Busy(root.clone());
            let response = next.run(request).await?;
            root.sleep(Duration::from_millis(3)).await;
            drop(held);
            Ok(response)
        })
    })
    .patience(Duration::from_secs(1));
    assert!(proxy.play(Message::request("POST", "/").body("x")).reply.is_some());
    assert!(proxy.metric("everything") >= Some(5));
    // Taken down with everything under way.
    drop(proxy);
}

/// 9. A property of several parts can be set and never be read.
#[test]
fn fault_9_a_property_that_is_set_can_be_read() {
    assert_eq!(property::set("a\0b", b"x"), Err(PropertyError::BadName));
    assert_eq!(property::set("", b"x"), Err(PropertyError::BadName));
    property::set("a", b"x").expect("taken");
    assert_eq!(property::bytes(&["a"]), Ok(b"x".to_vec()));
}

/// 10. Levels collapse: critical turns the log off.
#[test]
fn fault_10_each_level_is_its_own() {
    let mut proxy = proxy(|request, next, _| {
        Box::pin(async move {
            log::trace!("x");
            log::debug!("x");
            log::info!("x");
            log::warn!("x");
            log::error!("x");
            log::critical!("x");
            next.run(request).await
        })
    });
    let levels: Vec<LogLevel> =
        proxy.play(Message::get("/")).logs.into_iter().map(|(level, _)| level).collect();
    assert_eq!(levels, LogLevel::ALL);
}

/// 11. A body changes and its length stays.
#[test]
fn fault_11_a_changed_body_has_no_wrong_length() {
    let mut proxy = proxy(|mut request, next, _| {
        Box::pin(async move {
            request.body().rewrite(100, |body| Ok([&body[..], b"!"].concat()));
            let mut response = next.run(request).await?;
            if let Some(body) = response.body() {
                body.transform(|piece, _| {
                    piece.clear();
                    Ok(())
                });
            }
            Ok(response)
        })
    })
    .upstream(|_| Message::response(200).header("content-length", "4").body("four"));
    let played = proxy.play(Message::request("POST", "/").header("content-length", "3").body("abc"));
    let (up, down) = (played.upstream.expect("forwarded"), played.reply.expect("answered"));
    assert_eq!((&up.body[..], up.text("content-length")), (&b"abc!"[..], None));
    assert_eq!((&down.body[..], down.text("content-length")), (&b""[..], None));
}

/// 12. Replies and resumes where they crash Envoy: a request that is woken in its own phase goes on in a later one.
#[test]
fn fault_12_a_request_is_not_resumed_in_its_own_phase() {
    let mut proxy = proxy(|request, next, _| {
        Box::pin(async move {
            let mut left = 40;
            poll_fn(|context| {
                left -= 1;
                context.waker().wake_by_ref();
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            next.run(request).await
        })
    });
    assert_eq!(proxy.play(Message::get("/")).upstream, None, "nothing came that could have let it go");
}

/// 13. Each definition of a metric is a new id, for ever.
#[test]
fn fault_13_a_metric_is_defined_once() {
    let mut proxy = proxy(|request, next, _| {
        Box::pin(async move {
            metrics::counter("n").add(1);
            metrics::counter_with("n", &[("a", "b")]).add(1);
            next.run(request).await
        })
    });
    (0..50).for_each(|_| drop(proxy.play(Message::get("/"))));
    assert_eq!((proxy.metric("n"), proxy.metric("a=.=b;.;n")), (Some(50), Some(50)));
    assert_eq!(tamis_sdk::testing::definitions(), 2);
}

/// 14. Sleeping returns at once. This one holds the request until the time is over.
#[test]
fn fault_14_sleep_sleeps() {
    let mut proxy = proxy(|request, next, root| {
        Box::pin(async move {
            root.sleep(Duration::from_secs(3)).await;
            next.run(request).await
        })
    })
    .patience(Duration::from_millis(2999));
    assert_eq!(proxy.play(Message::get("/")).upstream, None);
    assert!(proxy.patience(Duration::from_secs(3)).play(Message::get("/")).upstream.is_some());
}

/// 15. No details of a reply, and a status message of gRPC that is no text panics (`grpc::tests`).
#[test]
fn fault_15_a_reply_says_why() {
    let mut proxy =
        proxy(|_, _, _| Box::pin(async { Ok(Reply::new(403).details("by_rule_7").grpc_status(7).into()) }));
    let played = proxy.play(Message::get("/"));
    assert_eq!((played.details, played.grpc_status), (Some("by_rule_7".into()), Some(7)));
}
