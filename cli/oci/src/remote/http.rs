//! One request, one answer. No redirects, no retries, no login: that is decided above.

use super::retry::{retry_after, stop};
use super::tls;
use super::url::Url;
use crate::error::{Error, Kind};
use crate::watch::Watch;
use std::io::Read;
use std::time::{Duration, SystemTime};
use ureq::SendBody;

/// For a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(30);

/// For the headers of an answer: registries commit a large blob in it.
const ANSWER: Duration = Duration::from_secs(300);

/// Longest silence within a body, either way.
const SILENCE: Duration = Duration::from_secs(60);

/// Longest body that is not a blob, bytes: errors, tokens.
pub(crate) const SMALL: u64 = 1 << 20;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: &'a [u8],
    /// Longest answer that is read, bytes.
    pub(crate) limit: u64,
    /// What the transfer is called on screen; empty: not shown.
    pub(crate) label: String,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: &'static str, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: &[], limit: SMALL, label: String::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, media_type: &str, body: &'a [u8]) -> Self {
        self.body = body;
        self.header("content-type", media_type)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|v| v.to_str().ok())
    }

    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// How long the registry wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header("retry-after")?, SystemTime::now())
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Lost on the way; the next attempt may do better.
    Cut(String),
    /// The other side speaks no TLS.
    Plain(Error),
    /// No attempt would do better.
    Final(Error),
}

/// Sends requests.
pub(crate) struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// A client with these certificates. Proxies come from the environment, but not for this machine itself.
    pub(crate) fn new(files: &tls::Files, local: bool, user_agent: &str) -> Result<Self, Error> {
        let mut config = ureq::Agent::config_builder()
            .tls_config(tls::config(files)?)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(user_agent)
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE));
        if local {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().into() })
    }

    pub(crate) fn send(&self, call: &Call<'_>, watch: &dyn Watch) -> Result<Answer, Failed> {
        stop(watch).map_err(Failed::Final)?;
        let shown = !call.label.is_empty();
        if shown {
            let size = if call.body.is_empty() { call.limit } else { call.body.len() as u64 };
            watch.begin(&call.label, size);
        }
        let outcome = self.exchange(call, watch);
        if shown {
            watch.end();
        }
        // A stop inside a body looks like a broken connection.
        stop(watch).map_err(Failed::Final)?;
        outcome
    }

    fn exchange(&self, call: &Call<'_>, watch: &dyn Watch) -> Result<Answer, Failed> {
        let mut request = http::Request::builder().method(call.method).uri(call.url.full());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let sends = matches!(call.method, "POST" | "PUT" | "PATCH");
        if sends {
            request = request.header("content-length", call.body.len());
        }
        let quiet = call.label.is_empty();
        let mut body = Told { inner: call.body, watch, quiet };
        let unfit = |_| Error::new(Kind::Broken, "the registry asks for a request that cannot be sent");
        let response = if sends {
            let request =
                request.body(SendBody::from_reader(&mut body)).map_err(unfit).map_err(Failed::Final)?;
            self.agent.run(request)
        } else {
            self.agent.run(request.body(()).map_err(unfit).map_err(Failed::Final)?)
        };
        let response = response.map_err(|e| failed(&e, &call.url))?;
        let (parts, mut body) = response.into_parts();
        let mut answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body: Vec::new() };
        if call.method == "HEAD" {
            return Ok(answer);
        }
        // A refusal may be longer than what was asked for.
        let limit = if answer.ok() { call.limit } else { SMALL };
        let reader = body.with_config().limit(u64::MAX).reader();
        let mut reader = Told { inner: reader.take(limit + 1), watch, quiet: quiet || sends };
        reader.read_to_end(&mut answer.body).map_err(|e| lost(&e, &call.url))?;
        if answer.body.len() as u64 > limit {
            let text = format!("{} answers with more than {limit} bytes", call.url);
            return Err(Failed::Final(Error::new(Kind::Broken, text)));
        }
        Ok(answer)
    }
}

/// A body on its way, either way: tells how far it is, and ends early when the user asks.
struct Told<'a, R> {
    inner: R,
    watch: &'a dyn Watch,
    quiet: bool,
}

/// Bytes between two looks at whether to stop.
const PIECE: usize = 64 << 10;

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.watch.stopped() {
            return Err(std::io::Error::other("stopped"));
        }
        let most = buffer.len().min(PIECE);
        let count = self.inner.read(&mut buffer[..most])?;
        if !self.quiet {
            self.watch.advance(count as u64);
        }
        Ok(count)
    }
}

fn failed(error: &ureq::Error, url: &Url) -> Failed {
    match error {
        ureq::Error::Io(io) => lost(io, url),
        ureq::Error::Rustls(e) => handshake(e, url),
        ureq::Error::HostNotFound => Failed::Cut(format!("no address for {}", url.host())),
        ureq::Error::Timeout(_) => Failed::Cut("no answer in time".to_owned()),
        // Texts of the HTTP library; the address in some of them may be signed.
        other => Failed::Cut(other.to_string().replace(&url.full(), &url.to_string())),
    }
}

fn lost(error: &std::io::Error, url: &Url) -> Failed {
    let mut inner = error.get_ref().map(|e| e as &(dyn std::error::Error + 'static));
    while let Some(cause) = inner {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return handshake(tls, url);
        }
        if let Some(ureq) = cause.downcast_ref::<ureq::Error>() {
            return failed(ureq, url);
        }
        inner = match cause.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|e| e as _),
            None => cause.source(),
        };
    }
    Failed::Cut(error.to_string())
}

fn handshake(error: &rustls::Error, url: &Url) -> Failed {
    let told = tls::explain(error, url.host());
    match error {
        rustls::Error::InvalidMessage(_) => Failed::Plain(told),
        _ => Failed::Final(told),
    }
}
