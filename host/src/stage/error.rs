//! Why a stage could not start.

use std::fmt;
use tamis_traffic::{FaultKind, Log};

/// A filter did not start; Envoy would refuse the whole configuration.
#[derive(Debug, Clone)]
pub struct StartError {
    /// Index of the filter in the chain.
    pub filter: usize,
    /// Its name.
    pub name: String,
    /// What it was doing.
    pub phase: StartPhase,
    /// What went wrong.
    pub reason: StartReason,
    /// What filters logged until then, in order; the last lines are this filter's.
    pub logs: Vec<Log>,
}

/// The steps of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPhase {
    /// The instance could not be made.
    Instantiate,
    /// `_initialize` or `_start` (and what they call).
    Initialize,
    /// `proxy_on_context_create` of the root context.
    ContextCreate,
    /// `proxy_on_vm_start`.
    VmStart,
    /// `proxy_on_configure`.
    Configure,
}

impl StartPhase {
    /// The export that was running, or a word for what has no export.
    pub fn name(self) -> &'static str {
        match self {
            StartPhase::Instantiate => "instantiation",
            StartPhase::Initialize => "_initialize",
            StartPhase::ContextCreate => "proxy_on_context_create",
            StartPhase::VmStart => "proxy_on_vm_start",
            StartPhase::Configure => "proxy_on_configure",
        }
    }
}

/// Why a step of the start failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartReason {
    /// The filter returned false: it does not accept its configuration.
    Refused,
    /// The filter broke.
    Fault {
        /// How.
        kind: FaultKind,
        /// One lower-case line.
        text: String,
    },
    /// The module could not be linked or instantiated.
    Link(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, phase) = (&self.name, self.phase.name());
        match &self.reason {
            StartReason::Refused => write!(f, "filter `{name}` refused to start: `{phase}` returned false"),
            StartReason::Fault { kind, text } => {
                write!(f, "filter `{name}` broke while starting: {} in `{phase}`: {text}", kind.code())
            }
            StartReason::Link(text) => write!(f, "filter `{name}` cannot be instantiated: {text}"),
        }
    }
}

impl fmt::Display for StartReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartReason::Refused => f.write_str("it returned false"),
            StartReason::Fault { kind, text } => write!(f, "{}: {text}", kind.code()),
            StartReason::Link(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StartError {}
