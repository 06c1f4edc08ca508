//! Capability restriction: what a VM may use (docs/envoy.md 2.11).

use std::collections::BTreeSet;
use std::sync::Arc;

/// Names of host functions, WASI functions and callbacks that a VM may use.
#[derive(Debug, Default, Clone)]
pub(crate) struct Allowed(Option<Arc<BTreeSet<String>>>);

impl Allowed {
    /// An empty list restricts nothing.
    pub(crate) fn new(names: &[String]) -> Self {
        Self((!names.is_empty()).then(|| Arc::new(names.iter().cloned().collect())))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }
}
