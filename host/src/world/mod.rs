//! What a filter can reach beside its exchange: time, randomness, shared data, queues, metrics.
//!
//! All plain data, owned by one stage and deterministic: the same replay is the same twice.

mod clock;
mod metrics;
mod queues;
mod random;
mod shared;

use std::fmt;

pub(crate) use clock::VirtualClock;
pub use metrics::{Metric, MetricKind};
pub(crate) use metrics::{Metrics, MetricsError};
pub(crate) use queues::{Owner, QueueError, Queues};
pub(crate) use random::Random;
pub(crate) use shared::{SetError, SharedData, Space};

/// A filter filled one of the stage's stores. Envoy has no such limits and would grow until it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitReached {
    /// The store, for instance `shared data`.
    pub(crate) what: &'static str,
    /// Its limit.
    pub(crate) limit: usize,
    /// What the limit counts.
    pub(crate) unit: &'static str,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the filter filled the {} beyond {} {}", self.what, self.limit, self.unit)
    }
}

impl std::error::Error for LimitReached {}
