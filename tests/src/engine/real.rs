//! Rows played by a real Envoy: one process serves them all, each row with listener, VMs and peers of its
//! own.

use super::Observed;
use crate::envoy::{self, Envoy};
use crate::peer::{TcpUpstream, Upstream, connection, exchange};
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

/// An Envoy that is ready for a set of rows.
pub struct Referee {
    envoy: Envoy,
    peers: BTreeMap<String, Peers>,
}

struct Peers {
    upstream: Upstream,
    tcp: Option<TcpUpstream>,
    callouts: BTreeMap<String, Upstream>,
}

impl Referee {
    /// Starts peers and Envoy for the rows, by name. `guest` is the scripted guest.
    ///
    /// # Errors
    /// When Envoy is missing or refuses a row's filters.
    pub fn start(rows: &[(String, Row)], guest: &Path) -> Result<Self> {
        let (mut listeners, mut clusters, mut peers) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, row) in rows {
            let upstream =
                if row.upstream_http2 { Upstream::start_http2()? } else { Upstream::start(Vec::new())? };
            let own = format!("up-{name}");
            let tcp = if row.connections.is_empty() { None } else { Some(TcpUpstream::start()?) };
            let at = tcp.as_ref().map_or(upstream.address(), TcpUpstream::address);
            let own_cluster = if row.upstream_http2 { envoy::cluster_http2 } else { envoy::cluster };
            let mut cluster = own_cluster(&own, Some(at));
            let mut callouts = BTreeMap::new();
            for (cluster, answers) in &row.callouts {
                let at = if answers.is_empty() {
                    None
                } else {
                    let peer = Upstream::start(answers.clone())?;
                    let at = peer.address();
                    callouts.insert(cluster.clone(), peer);
                    Some(at)
                };
                let http2 = answers.iter().any(|a| a.grpc.is_some());
                let make = if http2 { envoy::cluster_http2 } else { envoy::cluster };
                clusters.push(make(cluster, at));
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
                    row.proxy.dress(&mut listener, &mut cluster);
                    listener
                }
                Some(_) => {
                    let filters: Vec<Value> = filters.into_iter().map(envoy::network).collect();
                    envoy::tcp_listener(name, &filters, &own)
                }
            });
            clusters.push(cluster);
            peers.insert(name.clone(), Peers { upstream, tcp, callouts });
        }
        Ok(Self { envoy: Envoy::start_as(&node(), &listeners, &clusters)?, peers })
    }

    /// Plays a row.
    ///
    /// # Errors
    /// When Envoy cannot be reached, for instance because it crashed.
    pub fn play(&self, name: &str, row: &Row) -> Result<Observed> {
        let peers = self.peers.get(name).with_context(|| format!("Envoy was not started with {name}"))?;
        let mut seen = Observed::default();
        let proxy = self.envoy.listener(name)?;
        std::thread::sleep(Duration::from_millis(row.beforehand));
        for step in &row.exchanges {
            std::thread::sleep(Duration::from_millis(step.before));
            peers.upstream.set(step.answer.clone());
            let mut step = step.clone();
            step.script.values_mut().for_each(|script| *script = at_addresses(script, &peers.callouts));
            seen.client.push(exchange(proxy, &step)?);
            self.wait_for_end(row);
            seen.upstream.extend(peers.upstream.take());
        }
        for (acts, upstream) in row.connections.iter().filter_map(|acts| Some((acts, peers.tcp.as_ref()?))) {
            let (here, there) = connection(proxy, upstream, acts)?;
            self.wait_for_end(row);
            seen.client.push(here);
            seen.upstream.extend(there);
        }
        std::thread::sleep(Duration::from_millis(row.afterwards));
        seen.log = self.log(row);
        for (cluster, peer) in &peers.callouts {
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

    /// The guests' lines of this row, off the worker thread.
    fn log(&self, row: &Row) -> Vec<String> {
        let line = |l: envoy::Line| {
            let text = l.text.split_once('~').filter(|_| !l.main_thread)?.1.to_owned();
            let name = text.split('/').next().unwrap_or("");
            row.chain.iter().any(|f| f.name == name).then_some(text)
        };
        self.envoy.lines().into_iter().filter_map(line).collect()
    }

    /// Until every stream that began is deleted.
    fn wait_for_end(&self, row: &Row) {
        let end = Instant::now() + END_LIMIT;
        while Instant::now() < end {
            let log = self.log(row);
            let count = |phase: &str| log.iter().filter(|l| l.split(' ').nth(1) == Some(phase)).count();
            if count("create") > 0 && count("create") == count("delete") {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
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
