//! One filter of a chain.

use crate::{FailurePolicy, Module};

/// One filter of a chain: a module and its configuration, as an Envoy `PluginConfig` has it.
#[derive(Clone)]
pub struct FilterSpec {
    /// The plugin name, for reports and `plugin_name`.
    pub name: String,
    /// The compiled filter.
    pub module: Module,
    /// Envoy's `root_id`. Empty by default.
    pub root_id: String,
    /// Envoy's `vm_id`. Filters of one stage with the same module, `vm_id` and `vm_config` share one VM and
    /// its fate; shared data and queues go by `vm_id`. Empty by default.
    pub vm_id: String,
    /// The plugin configuration, as `proxy_on_configure` reads it. Empty by default.
    pub config: Vec<u8>,
    /// The VM configuration, as `proxy_on_vm_start` reads it. Empty by default.
    pub vm_config: Vec<u8>,
    /// Environment variables of the VM. None by default.
    pub env: Vec<(String, String)>,
    /// What happens after a trap. Closed by default.
    pub policy: FailurePolicy,
    /// Envoy's setting of this name (1.35 and later): body callbacks run while headers are held.
    /// False by default. A stage whose profile is older does not start with it.
    pub allow_on_headers_stop_iteration: bool,
    /// Envoy's `capability_restriction_config`: names of the host functions (`proxy_log`), WASI functions
    /// (`fd_write`) and callbacks (`proxy_on_tick`) that the VM may use. An empty list restricts nothing, as none
    /// does. Of filters that share a VM the first one's counts (docs/envoy.md 2.11). None by default.
    pub allowed_capabilities: Vec<String>,
}

impl FilterSpec {
    /// A filter with the defaults that the fields name.
    pub fn new(name: impl Into<String>, module: Module) -> Self {
        Self {
            name: name.into(),
            module,
            root_id: String::new(),
            vm_id: String::new(),
            config: Vec::new(),
            vm_config: Vec::new(),
            env: Vec::new(),
            policy: FailurePolicy::default(),
            allow_on_headers_stop_iteration: false,
            allowed_capabilities: Vec::new(),
        }
    }
}
