//! What is to be played: filters as an Envoy `PluginConfig` has them, and the clusters of their callouts.

use std::time::Duration;
use tamis_traffic::Callout;
use tamis_traffic::expect::RuleAnswer;

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

/// Says what a cluster answers to a callout; none: nobody answers it, and the call runs into its timeout.
pub type Answers = Box<dyn FnMut(&Callout) -> Option<RuleAnswer> + Send>;

/// A chain, ready to be started.
pub struct Chain {
    /// The filters, first first.
    pub filters: Vec<Filter>,
    /// Clusters that filters may call. Any other is unknown to Envoy.
    pub clusters: Vec<String>,
    /// Who answers those calls.
    pub answers: Answers,
    /// How long a stream may stand still before it counts as stuck; a real Envoy waits five minutes.
    pub idle: Duration,
}

/// How long a stream may stand still when nothing else is said: a filter that waits for nothing would else
/// cost five minutes an exchange.
pub const IDLE: Duration = Duration::from_secs(3);

impl Chain {
    /// These filters, without clusters for callouts.
    pub fn new(filters: Vec<Filter>) -> Self {
        Self { filters, clusters: Vec::new(), answers: Box::new(|_| None), idle: IDLE }
    }
}
