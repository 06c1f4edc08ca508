//! A filter of connections that can do everything, played natively.

use std::time::Duration;
use tamis_sdk::prelude::*;
use tamis_sdk::tcp::{Close, Connection, Flow, HELD_LIMIT, TcpFilter};
use tamis_sdk::testing::{Act, Answer, Message, PlayedConnection, Proxy};
use tamis_sdk::{LogLevel, property};

#[derive(serde::Deserialize)]
struct Config {
    does: String,
    #[serde(default)]
    pass: bool,
}

struct Probe(Config);

fn ask() -> Callout {
    Callout::get("idp", "idp.test", "/peer").timeout(Duration::from_secs(1))
}

impl TcpFilter for Probe {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        Ok(Self(config))
    }

    fn on_error(&self) -> OnError {
        if self.0.pass { OnError::Pass } else { OnError::Deny }
    }

    async fn handle(self: Rc<Self>, mut connection: Connection) -> Result<()> {
        match self.0.does.as_str() {
            "peer" => {
                let peer = property::text(&["source", "address"])?;
                if !ask().header("x-peer", peer).send().await?.is_success() {
                    return Err(Close.into());
                }
            }
            "upper" => {
                connection.upstream(|piece, _end| {
                    piece.make_ascii_uppercase();
                    Ok(Flow::On)
                });
                while let Some(mut piece) = connection.read().await? {
                    piece.make_ascii_lowercase();
                    connection.forward(piece);
                }
                tamis_sdk::log::info!("client ended");
            }
            "ask" => {
                while let Some(mut piece) = connection.read().await? {
                    let status = ask().send().await?.status();
                    piece.extend(format!("<{status}>").bytes());
                    connection.forward(piece);
                }
            }
            "line" => {
                let mut line = Vec::new();
                while let Some(piece) = connection.read().await? {
                    let ends = piece.ends_with(b"\n");
                    line.push(piece);
                    if ends {
                        line.drain(..).rev().for_each(|piece| connection.forward(piece));
                    }
                }
            }
            "first" => {
                if let Some(first) = connection.read().await?
                    && first.starts_with(b"good")
                {
                    connection.forward(first);
                }
            }
            "lines-down" => {
                connection
                    .upstream(|held, _end| Ok(if held.ends_with(b"\n") { Flow::On } else { Flow::Hold }));
                while let Some(piece) = connection.read().await? {
                    connection.forward(piece);
                }
            }
            "fail" => {
                let mut piece = connection.read().await?;
                if let Some(piece) = &mut piece {
                    piece.clear();
                }
                return Err(Error::msg("broken"));
            }
            "fail-down" => {
                connection.upstream(|_, _| Err(Error::msg("odd answer")));
                let _held = connection.read().await?;
                std::future::pending::<()>().await;
            }
            other => return Err(Error::msg(format!("no `{other}`"))),
        }
        Ok(())
    }
}

fn proxy(does: &str) -> Proxy {
    Proxy::start_tcp::<Probe>(&format!(r#"{{ "does": "{does}" }}"#)).expect("good configuration")
}

fn upstream(played: &PlayedConnection) -> &str {
    std::str::from_utf8(played.upstream.as_deref().expect("the upstream was asked")).expect("text")
}

use Act::{Client, ClientEnds, Upstream, UpstreamEnds};

#[test]
fn both_sides_are_seen_and_changed() {
    let acts = [Client(b"ABC"), Upstream(b"xyz"), Client(b"D"), ClientEnds, Upstream(b"!"), UpstreamEnds];
    let played = proxy("upper").play_connection(&acts);
    assert_eq!((upstream(&played), &*played.client), ("abcd", &b"XYZ!"[..]));
    assert_eq!(played.logs, [(LogLevel::Info, "client ended".into())]);
    assert!(!played.closed && !played.held);
}

#[test]
fn a_callout_before_the_first_read_holds_the_connection_itself() {
    let mut good = proxy("peer")
        .property(&["source", "address"], "10.0.0.1:4711")
        .service(|_, _| Answer::Reply(Message::response(204)));
    let played = good.play_connection(&[Client(b"abc"), Client(b"def")]);
    assert_eq!(upstream(&played), "abcdef");
    assert_eq!(played.callouts[0].message.text("x-peer").as_deref(), Some("10.0.0.1:4711"));
    drop(good);
    let mut bad = proxy("peer")
        .property(&["source", "address"], "10.0.0.1:4711")
        .service(|_, _| Answer::Reply(Message::response(403)));
    let played = bad.play_connection(&[Client(b"abc"), Upstream(b"xyz")]);
    assert_eq!((played.upstream, played.closed), (None, true));
    assert!(played.logs.is_empty(), "closing is no failure");
    drop(bad);
    let mut silent = proxy("peer").property(&["source", "address"], "10.0.0.1:4711");
    let played = silent.play_connection(&[Client(b"abc")]);
    assert_eq!((played.upstream, played.held), (None, true));
}

#[test]
fn a_callout_with_a_piece_in_hand_holds_it_and_what_comes_behind() {
    let mut asks = 0;
    let mut held = proxy("ask").service(move |_, _| {
        asks += 1;
        if asks == 2 { Answer::Silence } else { Answer::Reply(Message::response(200 + asks)) }
    });
    let played = held.play_connection(&[Client(b"one"), Client(b"two"), Client(b"three")]);
    assert_eq!((upstream(&played), played.held), ("one<201>", true));
}

#[test]
fn pieces_leave_in_the_order_in_which_they_were_forwarded() {
    let acts = [Client(b"a"), Client(b"b"), Upstream(b"-"), Client(b"c\n"), Client(b"d"), ClientEnds];
    let played = proxy("line").play_connection(&acts);
    assert_eq!((upstream(&played), played.held), ("c\nba", false), "what was dropped never leaves");
}

#[test]
fn what_is_not_read_passes_when_the_filter_is_done() {
    let played = proxy("first").play_connection(&[Client(b"good"), Client(b" rest"), ClientEnds]);
    assert_eq!(upstream(&played), "good rest");
    let played = proxy("first").play_connection(&[Client(b"bad"), Client(b" rest")]);
    assert_eq!(upstream(&played), " rest");
}

#[test]
fn the_upstreams_side_is_held_until_more_comes_and_its_end_never() {
    let played = proxy("lines-down").play_connection(&[Upstream(b"a"), Upstream(b"b\n"), Upstream(b"c")]);
    assert_eq!(played.client, b"ab\n");
    let played = proxy("lines-down").play_connection(&[Upstream(b"a"), UpstreamEnds]);
    assert_eq!(played.client, b"a");
    let much = vec![b'x'; HELD_LIMIT];
    let played = proxy("lines-down").play_connection(&[Upstream(&much), Upstream(b"\n")]);
    assert_eq!((played.client, played.closed), (Vec::new(), true));
    assert_eq!(played.logs[0].1, "connection denied: more than 1048576 bytes of the connection are held");
}

#[test]
fn the_clients_side_is_held_up_to_the_limit() {
    let much = vec![b'x'; HELD_LIMIT];
    let played = proxy("line").play_connection(&[Client(&much)]);
    assert!(played.closed && played.upstream == Some(Vec::new()), "{:?}", played.logs);
}

#[test]
fn a_failure_closes_or_lets_everything_pass_as_it_came() {
    let mut closes = proxy("fail");
    let played = closes.play_connection(&[Client(b"abc"), Client(b"def")]);
    assert_eq!((upstream(&played), played.closed), ("", true));
    assert_eq!(played.logs, [(LogLevel::Error, "connection denied: broken".into())]);
    assert_eq!(closes.metric("tamis.filter_errors"), Some(1));
    drop(closes);
    for does in ["fail", "fail-down"] {
        let config = format!(r#"{{ "does": "{does}", "pass": true }}"#);
        let mut passes = Proxy::start_tcp::<Probe>(&config).expect("good configuration");
        let acts = [Client(b"abc"), Upstream(b"xyz"), Client(b"def"), ClientEnds];
        let played = passes.play_connection(&acts);
        assert_eq!((upstream(&played), &*played.client), ("abcdef", &b"xyz"[..]), "{does}");
        assert_eq!((played.logs.len(), passes.metric("tamis.filter_errors")), (1, Some(1)), "{does}");
    }
}
