//! What the script can say.

use crate::misuse::Late;
use crate::{Line, Probe, Then};
use std::fmt::{Debug, Display};
use std::time::Duration;
use tamis_sdk::foreign::{self, crypto};
use tamis_sdk::future::{Either, join, join_all, race};
use tamis_sdk::grpc::{Call, GrpcError};
use tamis_sdk::prelude::*;
use tamis_sdk::property::known;
use tamis_sdk::shared::{Queue, SharedCell};
use tamis_sdk::{clock, log, metrics, property, shared};

/// A key on P-256 and a signature of `tamis` by it.
const KEY: &str = include_str!("key.pem");
const SIGNATURE: &[u8] = include_bytes!("tamis.sig");

fn told<T: Debug, E: Display>(result: Result<T, E>) -> String {
    result.map_or_else(|error| error.to_string(), |value| format!("{value:?}"))
}

fn time(word: &str) -> Duration {
    Duration::from_millis(word.parse().unwrap_or(1000))
}

fn http(cluster: &str, ms: &str) -> Callout {
    Callout::get(cluster, "svc.test", "/ask").timeout(time(ms))
}

async fn status(call: Callout) -> String {
    told(call.send().await.map(|reply| reply.status()))
}

fn call(cluster: &str, ms: &str) -> Call {
    Call::new(cluster, "svc.Name", "Do").metadata("x-md", "1").timeout(time(ms))
}

async fn unary(call: Call) -> String {
    match call.send(b"question").await {
        Ok(answer) => format!("{:?}", answer.escape_ascii().to_string()),
        Err(GrpcError::Failed(why)) => format!(
            "{} {:?} {:?} service={} timeout={}",
            why.code,
            why.message,
            why.details,
            why.is_from_service(),
            why.is_timeout()
        ),
        Err(error) => error.to_string(),
    }
}

/// Sends all, then reads all.
async fn stream(call: Call, messages: &[&str]) -> Result<String, GrpcError> {
    let mut stream = call.open()?;
    for message in messages {
        stream.send(message.as_bytes())?;
    }
    stream.finish()?;
    let mut came = Vec::new();
    let end = loop {
        match stream.receive().await {
            Ok(Some(message)) => came.push(message.escape_ascii().to_string()),
            Ok(None) => break "ok".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    let code = stream.trailing_metadata().and_then(|md| md.get("grpc-status").map(<[u8]>::to_vec));
    Ok(format!("{came:?} {end}; initial={} status={code:?}", stream.initial_metadata().is_some()))
}

impl Probe {
    /// What both directions can do.
    async fn ask(&self, words: &[&str]) -> Option<String> {
        Some(match *words {
            ["http", cluster, ms] => status(http(cluster, ms)).await,
            ["grpc", cluster, ms] => unary(call(cluster, ms)).await,
            ["stream", cluster, ref messages @ ..] => {
                stream(call(cluster, "1000"), messages).await.unwrap_or_else(|error| error.to_string())
            }
            ["join", a, b] => {
                let (a, b) = join(status(http(a, "1000")), unary(call(b, "1000"))).await;
                format!("{a} and {b}")
            }
            ["race", slow, quick] => match race(status(http(slow, "1000")), unary(call(quick, "1000"))).await
            {
                Either::First(a) => format!("first {a}"),
                Either::Second(b) => format!("second {b}"),
            },
            ["leave", slow, quick] => {
                match race(unary(call(slow, "1000")), status(http(quick, "1000"))).await {
                    Either::First(a) => format!("first {a}"),
                    Either::Second(b) => format!("second {b}, the other is cancelled"),
                }
            }
            ["deadline", cluster, ms] => {
                match race(status(http(cluster, "5000")), self.root.sleep(time(ms))).await {
                    Either::First(a) => format!("in time {a}"),
                    Either::Second(()) => "too late".into(),
                }
            }
            ["limit", cluster] => {
                let calls = [1, 2, 3].map(|_| self.limit.run(status(http(cluster, "1000"))));
                join_all(calls).await.into_iter().map(told).collect::<Vec<_>>().join(", ")
            }
            ["retry", cluster, ms] => {
                told(self.retry.send(http(cluster, ms)).await.map(|reply| reply.status()))
            }
            ["sleep", ms] => {
                let start = clock::monotonic().unwrap_or_default();
                self.root.sleep(time(ms)).await;
                let slept = clock::monotonic().unwrap_or_default().saturating_sub(start);
                format!("never early: {}", slept >= time(ms))
            }
            ["cell"] => {
                let cell = SharedCell::<u64>::new(format!("probe/{}/cell", self.name));
                let first = cell.get_or_create(|| 7);
                let again = shared::create(&format!("probe/{}/cell", self.name), b"other");
                format!("{} {} then {}", told(first), told(again), told(cell.update(|n| n.map(|n| n + 1))))
            }
            ["slots"] => {
                let take = |hash| {
                    told(self.slots.update((hash, hash << 32), |_| true, |n| (Some(n.unwrap_or(0) + 1), n)))
                };
                [1, 1, 2].map(take).join(", ")
            }
            ["lease"] => {
                let [a, b] = &self.leases;
                format!("{} {} {} {}", told(a.hold()), told(b.hold()), told(a.release()), told(b.hold()))
            }
            ["queue"] => {
                let Some(queue) = &self.queue else { return Some("none".into()) };
                let waits = async {
                    let (a, b) = join(queue.next(), queue.next()).await;
                    format!("{} {}", told(a.map(|i| i.len())), told(b.map(|i| i.len())))
                };
                let sends = async {
                    let found = Queue::find("", &format!("probe/{}/queue", self.name)).ok().flatten();
                    found.map(|queue| [queue.push(b"one"), queue.push(b"three")].map(told).join(" "))
                };
                let (took, sent) = join(waits, sends).await;
                format!("{took} after {sent:?}; {}", told(queue.pop()))
            }
            ["metrics"] => {
                let labels = [("rule", "a;b")];
                let names = ["x", "x", "y"].map(|n| format!("probe_{}.{n}", self.name));
                names.iter().for_each(|name| metrics::counter(name).add(2));
                metrics::counter_with(&names[0], &labels).add(1);
                let values = names.iter().map(|name| metrics::counter(name).value());
                format!(
                    "{:?} {:?}",
                    values.collect::<Vec<_>>(),
                    metrics::counter_with(&names[0], &labels).value()
                )
            }
            ["properties"] => format!(
                "path {}; code {}; duration {}; tls {}; protocol {}; route {}",
                told(known::REQUEST_PATH.get()),
                told(known::RESPONSE_CODE.get()),
                told(known::REQUEST_DURATION.get()),
                told(known::CONNECTION_TLS_VERSION.get()),
                told(known::REQUEST_PROTOCOL.get()),
                told(known::ROUTE_NAME.get().map(|_| "there")),
            ),
            ["state"] => {
                let set = property::set("probe.mark", b"set");
                format!("{} {:?}", told(set), property::filter_state("probe.mark"))
            }
            ["foreign"] => {
                let packed = foreign::compress(&[b'a'; 1000]);
                let small = packed.as_ref().is_ok_and(|bytes| bytes.len() < 100);
                let back =
                    packed.and_then(|bytes| foreign::uncompress(&bytes)).map(|bytes| bytes == [b'a'; 1000]);
                let state = foreign::set_filter_state("envoy.string", "x", foreign::Span::Chain);
                let garbage = foreign::uncompress(b"garbage");
                let route = foreign::clear_route_cache();
                let odd = foreign::call("no_such_function", b"");
                format!(
                    "{small} {}; {}; {}; {}; {}",
                    told(back),
                    told(state),
                    told(garbage),
                    told(route),
                    told(odd)
                )
            }
            ["levels"] => {
                let name = &self.name;
                log::trace!("~{name}/level trace");
                log::debug!("~{name}/level debug");
                log::info!("~{name}/level info");
                log::warn!("~{name}/level warn");
                log::error!("~{name}/level error");
                log::critical!("~{name}/level critical");
                "done".into()
            }
            ["verify"] => {
                let verify = |text: &[u8]| {
                    told(crypto::verify(crypto::Hash::Sha256, crypto::Key::Pem(KEY), text, SIGNATURE))
                };
                format!("{}; {}", verify(b"tamis"), verify(b"tamiS"))
            }
            _ => return None,
        })
    }

    pub(crate) async fn on_request(&self, line: &Line, command: &str, request: &mut Request) -> Result<Then> {
        let words: Vec<&str> = command.split_whitespace().collect();
        if let Some(text) = self.ask(&words).await {
            line.say(&format!("{}: {text}", words[0]));
            return Ok(Then::On);
        }
        match *words {
            [] => {}
            ["reply", code] => return Ok(Then::Answer(Reply::new(code.parse().unwrap_or(0)).body("probe"))),
            ["fail"] => return Err(Error::msg("as told")),
            ["keep"] => return Ok(Then::Keep),
            ["set", name, value] => request.headers_mut().set(name, value)?,
            ["values"] => {
                let values: Vec<_> =
                    request.headers().get_all("x-odd").map(|v| v.escape_ascii().to_string()).collect();
                let odd = request.headers().text("x-odd").map(|_| ());
                line.say(&format!("values: {values:?} {}", told(odd)));
            }
            ["body", "shout"] => request.body().transform(|piece, _| {
                piece.make_ascii_uppercase();
                Ok(())
            }),
            ["body", "wrap", limit] => {
                let line = line.clone();
                request.body().rewrite(limit.parse().unwrap_or(0), move |body| {
                    line.say(&format!("body of {}", body.len()));
                    Ok([b"<", &body[..], b">"].concat())
                });
            }
            ["body", "look"] => {
                let (line, mut size) = (line.clone(), 0);
                request.body().inspect(move |piece, end| {
                    size += piece.len();
                    if end {
                        line.say(&format!("looked at {size}"));
                    }
                    if piece.windows(4).any(|word| word == b"evil") {
                        Err(Reply::new(406).into())
                    } else {
                        Ok(())
                    }
                });
            }
            ["trailers"] => {
                let line = line.clone();
                request.on_trailers(move |trailers| {
                    line.say(&format!("{} trailers", trailers.len()));
                    Ok(trailers.set("x-trailer", "set")?)
                });
            }
            ["guard", cluster, ms] => {
                let _late = Late { line: line.clone(), root: self.root.clone() };
                line.say(&status(http(cluster, ms)).await);
            }
            ["misuse"] => self.misuse(line, request).await?,
            _ => return Err(Error::msg(format!("no such command: {command}"))),
        }
        Ok(Then::On)
    }

    pub(crate) async fn on_response(
        &self,
        line: &Line,
        command: &str,
        response: &mut Response,
    ) -> Result<Option<Reply>> {
        let words: Vec<&str> = command.split_whitespace().collect();
        if let Some(text) = self.ask(&words).await {
            line.say(&format!("{}: {text}", words[0]));
            return Ok(None);
        }
        match *words {
            [] => {}
            ["reply", code] => return Ok(Some(Reply::new(code.parse().unwrap_or(0)).body("probe"))),
            ["fail"] => return Err(Error::msg("as told")),
            ["set", name, value] => response.headers_mut().set(name, value)?,
            ["body", "wrap", limit] => {
                let limit = limit.parse().unwrap_or(0);
                if let Some(body) = response.body() {
                    body.rewrite(limit, |body| Ok([b"<", &body[..], b">"].concat()));
                }
            }
            ["body", "shout"] => {
                if let Some(body) = response.body() {
                    body.transform(|piece, _| {
                        piece.make_ascii_uppercase();
                        Ok(())
                    });
                }
            }
            ["trailers"] => {
                let line = line.clone();
                response.on_trailers(move |trailers| {
                    line.say(&format!("{} trailers", trailers.len()));
                    Ok(trailers.set("x-trailer", "set")?)
                });
            }
            _ => return Err(Error::msg(format!("no such command: {command}"))),
        }
        Ok(None)
    }
}
