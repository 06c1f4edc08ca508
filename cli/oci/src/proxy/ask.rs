//! The questions: few, by GET alone, each with a limit on time and on the length of the answer.

use super::{Address, Dump, Stats};
use crate::error::{Error, Kind};
use crate::remote::stop;
use crate::watch::Watch;
use serde::Deserialize;
use std::io::{self, BufReader, Read};
use std::time::Duration;

/// For one question and its whole answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest configuration that is read, bytes. Sidecars of large meshes have tens of megabytes of listeners; of what is
/// read only the filters are kept.
const MAX_DUMP: u64 = 256 << 20;

/// Longest list of statistics, bytes.
const MAX_STATS: u64 = 64 << 20;

/// Longest answer about the proxy itself, bytes.
const MAX_INFO: u64 = 1 << 20;

/// What of the statistics is asked for: those that say something about filters.
const FILTER: &str =
    "/stats?filter=^(wasm|extension_config_discovery|listener_manager.lds|http..*downstream_rq_(total|5xx)$)";

/// The proxy itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Version, for instance `1.40.0`.
    pub version: String,
    /// `LIVE` when it serves.
    pub state: String,
    /// Its workers, when it says.
    pub workers: Option<u64>,
}

/// All answers.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The proxy itself; none when only the page for Prometheus was read.
    pub server: Option<Server>,
    /// Its listeners and filters; none then, too.
    pub dump: Option<Dump>,
    /// What it counted.
    pub stats: Stats,
}

/// Asks a proxy.
///
/// # Errors
/// When it does not answer, or its answers are not those of an Envoy.
pub fn ask(address: &Address, watch: &dyn Watch) -> Result<Said, Error> {
    let asker = Asker::new();
    if address.metrics_only {
        let page = asker.get(&address.metrics(), watch)?.ok_or_else(|| missing(address))?;
        let stats = Stats::prometheus(BufReader::new(page.limited(MAX_STATS))).map_err(|e| unread(&e))?;
        return Ok(Said { stats, ..Said::default() });
    }
    let info = asker.get(&address.page("/server_info"), watch)?.ok_or_else(|| missing(address))?;
    let server = server(info.limited(MAX_INFO)).map_err(|e| unread(&e))?;
    let mut dump = Dump::default();
    for resource in ["static_listeners", "dynamic_listeners", "ecds_filters"] {
        // A kind of which the proxy has none is not found.
        if let Some(page) = asker.get(&address.page(&format!("/config_dump?resource={resource}")), watch)? {
            dump.read(BufReader::new(page.limited(MAX_DUMP))).map_err(|e| unread(&e))?;
        }
    }
    let page = asker.get(&address.page(FILTER), watch)?.ok_or_else(|| missing(address))?;
    let stats = Stats::text(BufReader::new(page.limited(MAX_STATS))).map_err(|e| unread(&e))?;
    Ok(Said { server: Some(server), dump: Some(dump), stats })
}

fn server(page: impl Read) -> io::Result<Server> {
    #[derive(Deserialize)]
    struct Info {
        version: String,
        state: String,
        #[serde(default)]
        command_line_options: Options,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Options {
        concurrency: Option<u64>,
    }
    let info: Info = serde_json::from_reader(BufReader::new(page))?;
    // `COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
    let version = info.version.split('/').nth(1).unwrap_or(&info.version).to_owned();
    Ok(Server { version, state: info.state, workers: info.command_line_options.concurrency })
}

fn missing(address: &Address) -> Error {
    Error::new(
        Kind::BadProxyAnswer,
        format!("{address} has no such page: it is no admin interface of an Envoy"),
    )
    .hint("sidecars and gateways of Istio have theirs on port 15000, and a page for Prometheus on 15090")
}

fn unread(error: &io::Error) -> Error {
    Error::new(Kind::BadProxyAnswer, "the answer is not what an Envoy says").because(error)
}

struct Asker {
    agent: ureq::Agent,
}

/// An answer whose body is still to be read.
struct Page(ureq::Body);

impl Page {
    /// The body; an error once it is longer than this.
    fn limited(self, limit: u64) -> impl Read {
        Limited { inner: self.0.into_with_config().limit(u64::MAX).reader(), left: limit, limit }
    }
}

struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other(format!("longer than {} bytes", self.limit)))?;
        Ok(count)
    }
}

impl Asker {
    fn new() -> Self {
        // A proxy that is forwarded to this machine is not behind another one.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .accept_encoding("identity")
            .timeout_global(Some(PATIENCE));
        Self { agent: config.build().into() }
    }

    /// The page; none when there is none of this name.
    fn get(&self, url: &str, watch: &dyn Watch) -> Result<Option<Page>, Error> {
        stop(watch)?;
        let answer = self.agent.get(url).call().map_err(|e| {
            Error::new(Kind::ProxyUnreachable, "the proxy does not answer").because(e).hint(
                "the port is on this machine once `kubectl port-forward POD 15000` or `istioctl dashboard envoy POD` runs",
            )
        })?;
        match answer.status().as_u16() {
            200 => Ok(Some(Page(answer.into_body()))),
            404 => Ok(None),
            status => Err(Error::new(Kind::BadProxyAnswer, format!("the proxy answers {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
        let read = |text: &str| {
            let mut all = String::new();
            Limited { inner: text.as_bytes(), left: 4, limit: 4 }.read_to_string(&mut all).map(|_| all)
        };
        assert_eq!(read("1234").unwrap(), "1234");
        assert_eq!(read("12345").unwrap_err().to_string(), "longer than 4 bytes");
    }
}
