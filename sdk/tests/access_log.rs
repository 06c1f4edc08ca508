//! An access log, played natively.

use tamis_sdk::access_log::{AccessLog, LogEntry};
use tamis_sdk::prelude::*;
use tamis_sdk::testing::{Answer, Message, Proxy};
use tamis_sdk::{log, metrics, property};

struct Writes {
    cluster: String,
    root: Root,
}

impl AccessLog for Writes {
    type Config = String;

    fn new(cluster: String, root: &Root) -> Result<Self> {
        Ok(Self { cluster, root: root.clone() })
    }

    fn log(&self, entry: &LogEntry) {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"-")).into_owned();
        let path = text(entry.request().get(":path"));
        let from = text(entry.response().get("x-from"));
        let end = text(entry.response_trailers().get("grpc-status"));
        let flags = property::number(&["response", "flags"]).unwrap_or(-1);
        log::info!("{path} {:?} {from} {end} {flags}", entry.status());
        metrics::counter("logged").add(1);
        let call = Callout::post(self.cluster.as_str(), "logs.test", "/", path);
        self.root.spawn(async move {
            if let Err(error) = call.send().await {
                log::warn!("{error}");
            }
        });
    }
}

#[test]
fn an_exchange_is_seen_whole_and_sent_on() {
    let mut proxy = Proxy::start_log::<Writes>(r#""logs""#)
        .expect("good configuration")
        .upstream(|_| Message::response(503).header("x-from", "shop").trailer("grpc-status", "14"))
        .service(|_, _| Answer::Reply(Message::response(202)))
        .property(&["response", "flags"], 4_i64.to_le_bytes());
    let played = proxy.play(Message::get("/a"));
    assert_eq!(played.logs[0].1, "/a Some(503) shop 14 4");
    assert_eq!(played.reply.map(|reply| reply.status()), Some(503));
    let [call] = &played.callouts[..] else { panic!("{:?}", played.callouts) };
    assert_eq!((call.cluster.as_str(), &call.message.body[..]), ("logs", &b"/a"[..]));
    assert_eq!(proxy.metric("logged"), Some(1));
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    let refused = Proxy::start_log::<Writes>("{}").err();
    assert!(refused.is_some_and(|line| line.starts_with("the filter can not start: configuration")));
}
