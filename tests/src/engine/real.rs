//! Rows played by a real Envoy: one process serves them all, each row with listener, VMs and peers of its
//! own.

use super::Observed;
use crate::envoy::{self, Envoy};
use crate::peer::frames;
use crate::peer::{CAREFUL, Client, Pace, TcpUpstream, Upstream, connection};
use crate::proxy::node;
use crate::row::{Filter, Policy, Row};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Every VM of the rows has an id that starts so.
pub const VM_PREFIX: &str = "row-";

/// Longest wait for the streams of a row to end. A dead VM never says so.
const END_LIMIT: Duration = Duration::from_millis(500);
/// The same for an exchange that no filter saw, at a brisk pace.
const UNSEEN_LIMIT: Duration = Duration::from_millis(40);
/// A stream that ends so much later than its answer ended by a timeout.
const LATE: Duration = Duration::from_millis(100);

/// An Envoy that is ready for a set of rows.
pub struct Referee {
    envoy: Envoy,
    pace: Pace,
    client: Client,
    peers: BTreeMap<String, Peers>,
    /// The peers of callouts, by cluster. Rows that name the same cluster share it.
    callouts: BTreeMap<String, Upstream>,
    /// What the guests on the worker logged.
    log: Vec<String>,
}

struct Peers {
    upstream: Upstream,
    tcp: Option<TcpUpstream>,
}

impl Referee {
    /// Starts peers and Envoy for the rows, by name. `guest` is the scripted guest.
    ///
    /// # Errors
    /// When Envoy is missing or refuses a row's filters.
    pub fn start(rows: &[(String, Row)], guest: &Path) -> Result<Self> {
        Self::start_at(CAREFUL, rows, guest)
    }

    /// As [`Referee::start`], with peers of this pace.
    ///
    /// # Errors
    /// As there.
    pub fn start_at(pace: Pace, rows: &[(String, Row)], guest: &Path) -> Result<Self> {
        let (mut listeners, mut clusters) = (Vec::new(), Vec::new());
        let (mut peers, mut callouts) = (BTreeMap::new(), BTreeMap::new());
        for (name, row) in rows {
            let frames = row.has_metadata();
            let upstream = match row.upstream_http2 {
                _ if frames => Upstream::start_frames(pace)?,
                true => Upstream::start_http2(pace)?,
                false => Upstream::start_at(pace, Vec::new())?,
            };
            let own = format!("up-{name}");
            let tcp = if row.connections.is_empty() { None } else { Some(TcpUpstream::start()?) };
            let at = tcp.as_ref().map_or(upstream.address(), TcpUpstream::address);
            let own_cluster =
                if row.upstream_http2 || frames { envoy::cluster_http2 } else { envoy::cluster };
            let mut cluster = own_cluster(&own, Some(at));
            if frames {
                let options = &mut cluster["typed_extension_protocol_options"];
                let options = &mut options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
                options["explicit_http_config"]["http2_protocol_options"] = json!({ "allow_metadata": true });
            }
            for (cluster, answers) in &row.callouts {
                if callouts.contains_key(cluster) {
                    continue;
                }
                let peer = Upstream::start_at(pace, answers.clone())?;
                let at = Some(peer.address()).filter(|_| !answers.is_empty());
                let http2 = answers.iter().any(|a| a.grpc.is_some());
                let make = if http2 { envoy::cluster_http2 } else { envoy::cluster };
                clusters.push(make(cluster, at));
                callouts.insert(cluster.clone(), peer);
            }
            let filters: Vec<Value> =
                row.chain.iter().map(|f| filter(name, row, f, guest, &callouts)).collect();
            listeners.push(match tcp {
                None => {
                    let mut listener = envoy::listener_with_limit(name, &filters, &own, row.buffer_limit);
                    if row.upgrades {
                        let hcm = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
                        hcm["upgrade_configs"] = json!([{ "upgrade_type": "websocket" }]);
                    }
                    let hcm = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
                    hcm["stream_idle_timeout"] = json!(format!("{:.3}s", pace.idle.as_secs_f64()));
                    if frames {
                        hcm["http2_protocol_options"] = json!({ "allow_metadata": true });
                    }
                    if pace.keeps {
                        // After a reset Envoy waits for the client to close first.
                        let hcm = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
                        hcm["delayed_close_timeout"] = json!("0.005s");
                    }
                    row.proxy.dress(&mut listener, &mut cluster);
                    listener
                }
                Some(_) => {
                    let filters: Vec<Value> = filters.into_iter().map(envoy::network).collect();
                    envoy::tcp_listener(name, &filters, &own)
                }
            });
            clusters.push(cluster);
            peers.insert(name.clone(), Peers { upstream, tcp });
        }
        let envoy = Envoy::start_as(&node(), &listeners, &clusters)?;
        Ok(Self { envoy, pace, client: Client::new(pace), peers, callouts, log: Vec::new() })
    }

    /// Plays a row.
    ///
    /// # Errors
    /// When Envoy cannot be reached, for instance because it crashed.
    pub fn play(&mut self, name: &str, row: &Row) -> Result<Observed> {
        let peers = self.peers.get(name).with_context(|| format!("Envoy was not started with {name}"))?;
        let mut seen = Observed::default();
        let proxy = self.envoy.listener(name)?;
        std::thread::sleep(Duration::from_millis(row.beforehand));
        for step in &row.exchanges {
            std::thread::sleep(Duration::from_millis(step.before));
            peers.upstream.set(step.answer.clone());
            let from = self.log.len();
            let mut step = step.clone();
            step.script.values_mut().for_each(|script| *script = at_addresses(script, &self.callouts));
            if row.has_metadata() {
                frames::exchange(proxy, &step)?;
            } else {
                seen.client.push(self.client.exchange(proxy, &step)?);
            }
            let answered = Instant::now();
            wait_for_end(&self.envoy, &mut self.log, from, row, &self.pace);
            if answered.elapsed() > LATE {
                // Its client had the answer before the stream was over: the proxy may close this connection yet.
                self.client = Client::new(self.pace);
            }
            let mut got = peers.upstream.take();
            if row.has_metadata() {
                got.clear();
            }
            if self.pace.keeps {
                // What broke off may come late, in a later exchange.
                got.retain(|request| request.odd.is_empty());
            }
            seen.upstream.extend(got);
            seen.reached.push(seen.upstream.len());
        }
        for (acts, upstream) in row.connections.iter().filter_map(|acts| Some((acts, peers.tcp.as_ref()?))) {
            let from = self.log.len();
            let (here, there) = connection(proxy, upstream, acts)?;
            wait_for_end(&self.envoy, &mut self.log, from, row, &self.pace);
            seen.client.push(here);
            seen.upstream.extend(there);
        }
        std::thread::sleep(Duration::from_millis(row.afterwards));
        take_lines(&self.envoy, &mut self.log, Duration::ZERO);
        seen.log = own(&self.log, row).cloned().collect();
        if self.pace.keeps {
            self.log.clear();
        }
        for (cluster, answers) in &row.callouts {
            let Some(peer) = self.callouts.get(cluster).filter(|_| !answers.is_empty()) else { continue };
            let at = peer.address().to_string();
            seen.log.iter_mut().for_each(|line| *line = line.replace(&at, cluster));
            let mut requests = peer.take();
            let own = |(name, value): &&mut (String, Vec<u8>)| name == "host" && *value == at.as_bytes();
            let hosts = requests.iter_mut().flat_map(|seen| seen.headers.iter_mut()).filter(own);
            hosts.for_each(|(_, value)| *value = cluster.clone().into_bytes());
            seen.callouts.insert(cluster.clone(), requests);
        }
        Ok(seen)
    }
}

/// Adds what the guests on the worker logged since the last time.
fn take_lines(envoy: &Envoy, log: &mut Vec<String>, limit: Duration) {
    let line = |l: envoy::Line| Some(l.text.split_once('~').filter(|_| !l.main_thread)?.1.to_owned());
    log.extend(envoy.take_lines(limit).into_iter().filter_map(line));
}

/// The lines of a row's filters.
fn own<'a>(log: &'a [String], row: &Row) -> impl Iterator<Item = &'a String> {
    log.iter().filter(|line| {
        let name = line.split('/').next().unwrap_or("");
        row.chain.iter().any(|f| f.name == name)
    })
}

/// Until every stream that began is deleted or its VM is dead, and every call is answered. The exchange's lines
/// start at `from`.
fn wait_for_end(envoy: &Envoy, log: &mut Vec<String>, from: usize, row: &Row, pace: &Pace) {
    let start = Instant::now();
    loop {
        let (mut begun, mut open, mut calls) = (0, 0, 0);
        for line in own(&log[from..], row) {
            match line.split(' ').nth(1).unwrap_or("") {
                "create" => (begun, open) = (begun + 1, open + 1),
                "delete" => open -= 1,
                "call" => calls -= 1,
                "" if line.ends_with("   trap") => open -= 1,
                "" if line.contains("   call ") && line.contains(" -> 0 token=") => calls += 1,
                _ => {}
            }
        }
        if begun > 0 && open == 0 && calls <= 0 {
            return;
        }
        let limit = if begun > 0 || !pace.keeps { END_LIMIT } else { UNSEEN_LIMIT };
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            return;
        }
        take_lines(envoy, log, left);
    }
}

/// A script whose `@@CLUSTER` are the addresses of those peers: for services past the clusters.
fn at_addresses(script: &str, callouts: &BTreeMap<String, Upstream>) -> String {
    let put = |text: String, (cluster, peer): (&String, &Upstream)| {
        text.replace(&format!("@@{cluster} "), &format!("@@{} ", peer.address()))
    };
    callouts.iter().fold(script.to_owned(), put)
}

fn filter(
    name: &str,
    row: &Row,
    filter: &Filter,
    guest: &Path,
    callouts: &BTreeMap<String, Upstream>,
) -> Value {
    let mut extra = match filter.policy {
        Policy::Closed => json!({ "failure_policy": "FAIL_CLOSED" }),
        Policy::Open => json!({ "failure_policy": "FAIL_OPEN" }),
        Policy::Reload => json!({ "failure_policy": "FAIL_RELOAD" }),
        Policy::LegacyOpen => json!({ "fail_open": true }),
    };
    if filter.allow_on_headers_stop_iteration {
        extra["allow_on_headers_stop_iteration"] = json!(true);
    }
    if let Some(milliseconds) = row.reload_backoff {
        let base = format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000);
        extra["reload_config"] = json!({ "backoff": { "base_interval": base } });
    }
    if let Some(allowed) = &filter.allowed {
        let allowed: serde_json::Map<String, Value> =
            allowed.iter().map(|n| (n.clone(), json!({}))).collect();
        extra["capability_restriction_config"] = json!({ "allowed_capabilities": allowed });
    }
    if let Some(kind) = &filter.kind {
        extra["root_id"] = json!(kind);
    }
    let vm = filter.vm.as_deref().unwrap_or(&filter.name);
    let script = at_addresses(&configuration(filter), callouts);
    let mut plugin = envoy::filter(&filter.name, &format!("{VM_PREFIX}{name}-{vm}"), guest, &script, &extra);
    if let Some(own) = &filter.config {
        let config = &mut plugin["typed_config"]["config"];
        config["vm_config"]["configuration"] = config["configuration"].take();
        config["configuration"] = own.clone();
    }
    plugin
}

/// The guest's configuration: its name and what its callbacks do. A filter of the sdk has its own.
pub(super) fn configuration(filter: &Filter) -> String {
    if filter.kind.is_some() {
        return filter.script.clone();
    }
    let script = filter.script.split_whitespace().collect::<Vec<_>>().join(" ");
    if script.is_empty() { filter.name.clone() } else { format!("{} | {script}", filter.name) }
}
