//! What is to be played: filters as an Envoy `PluginConfig` has them, and the clusters of their callouts.

use crate::proxy::Proxy;
use std::time::Duration;
use tamis_traffic::answers::{Answers, Nobody};

/// One filter of the chain.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The plugin name.
    pub name: String,
    /// Envoy's `root_id`.
    pub root_id: String,
    /// Envoy's `vm_id`.
    pub vm_id: String,
    /// The module.
    pub wasm: Vec<u8>,
    /// The plugin configuration.
    pub config: Vec<u8>,
    /// The VM configuration.
    pub vm_config: Vec<u8>,
    /// Environment variables of the VM.
    pub env: Vec<(String, String)>,
    /// What happens after a trap.
    pub policy: Policy,
    /// Body callbacks run while headers are held.
    pub allow_on_headers_stop_iteration: bool,
    /// The capabilities that it is restricted to (docs/envoy.md 2.11); not restricted when there are none.
    pub allowed_capabilities: Vec<String>,
}

/// Envoy's failure policies (docs/envoy.md 2.12).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// `FAIL_CLOSED`.
    #[default]
    Closed,
    /// `FAIL_OPEN`.
    Open,
    /// `FAIL_RELOAD`.
    Reload,
    /// The deprecated `fail_open: true`.
    LegacyOpen,
}

/// A cluster that filters may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Envoy speaks HTTP/2 to it: gRPC needs that. Fields of a connection (`transfer-encoding`) do not come through it.
    pub http2: bool,
    /// It has a host, which gives the answers; else calls to it do not start (docs/envoy.md 2.6, 2.7).
    pub hosts: bool,
}

impl Cluster {
    /// One with a host that speaks HTTP/1.1.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), http2: false, hosts: true }
    }
}

/// A chain, ready to be started.
pub struct Chain {
    /// The filters, first first.
    pub filters: Vec<Filter>,
    /// Clusters that filters may call. Any other is unknown to Envoy.
    pub clusters: Vec<Cluster>,
    /// What those clusters answer.
    pub answers: Box<dyn Answers + Send>,
    /// How long a stream may stand still before it counts as stuck; a real Envoy waits five minutes.
    pub idle: Duration,
    /// Most body bytes that Envoy holds back for a filter.
    pub buffer_limit: u32,
    /// What the proxy is and no recording tells.
    pub proxy: Proxy,
}

/// How long a stream may stand still when nothing else is said: a filter that waits for nothing would else
/// cost five minutes an exchange.
pub const IDLE: Duration = Duration::from_secs(3);

/// The same in a chain that makes callouts.
const IDLE_WITH_CALLOUTS: Duration = Duration::from_secs(10);

/// Most body bytes that are held back when nothing else is said (1 MiB: Envoy's default).
const BUFFER: u32 = 1 << 20;

impl Chain {
    /// These filters, without clusters for callouts.
    pub fn new(filters: Vec<Filter>) -> Self {
        let answers = Box::new(Nobody);
        let proxy = Proxy::default();
        Self { filters, clusters: Vec::new(), answers, idle: IDLE, buffer_limit: BUFFER, proxy }
    }

    /// With these clusters. A stream may stand still longer then: the timeouts of its callouts come first.
    pub fn serve(&mut self, clusters: Vec<Cluster>, answers: Box<dyn Answers + Send>) {
        if !clusters.is_empty() {
            self.idle = IDLE_WITH_CALLOUTS;
        }
        (self.clusters, self.answers) = (clusters, answers);
    }
}
