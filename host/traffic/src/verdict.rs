//! What a filter did to one exchange: the verdict and the changes behind it.

mod change;
mod route;

pub use change::{Change, Changes, Half, Section};
pub use route::{MAX_ROUTE, route_into, route_of};

use crate::{Fault, FilterTrace, Outcome};
use std::fmt;

/// What the filters did to an exchange; a later one is worse, and the worst that applies is the verdict's.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Request and response came through as they were recorded (but for [noise](crate::compare::NOISE)).
    #[default]
    Forwarded,
    /// Came through, changed.
    Changed,
    /// A filter answered instead of the upstream.
    Answered,
    /// Nothing can be said of the filter: the capture, the test, the machine or Tamis lacks something, or a fault
    /// was injected. [`Verdict::fault`] says what.
    Unclear,
    /// A filter broke: it trapped, ran out of its limits, hung, or sent what the proxy refuses.
    Broke,
}

impl Kind {
    /// All kinds, from harmless to worst.
    pub const ALL: [Kind; 5] = [Kind::Forwarded, Kind::Changed, Kind::Answered, Kind::Unclear, Kind::Broke];

    /// The word for it in output and reports; part of the public interface.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Forwarded => "forwarded",
            Kind::Changed => "changed",
            Kind::Answered => "answered",
            Kind::Unclear => "unclear",
            Kind::Broke => "broke",
        }
    }

    /// What one filter of a chain did, by its own trace; none when the request did not reach it.
    ///
    /// A trace is exact: a filter that sets a noise field counts as changed here.
    pub const fn of_filter(trace: &FilterTrace) -> Option<Kind> {
        if trace.broke {
            Some(Kind::Broke)
        } else if trace.injected {
            Some(Kind::Unclear)
        } else if trace.answered {
            Some(Kind::Answered)
        } else if trace.request_changed || trace.response_changed {
            Some(Kind::Changed)
        } else if trace.reached {
            Some(Kind::Forwarded)
        } else {
            None
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What the filters did to one exchange. Made to be filled again and again without allocating
/// ([`compare_into`](crate::compare_into)); owns everything it shows, so a clone can outlive the playback.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Verdict {
    /// The worst that applies.
    pub kind: Kind,
    /// How the playback ended.
    pub outcome: Outcome,
    /// The capture has no response: only the request could be compared.
    pub open: bool,
    /// Who answered and how, when a filter did.
    pub answered: Option<Answered>,
    /// `response.code_details` of the playback; empty when nobody set one.
    pub details: String,
    /// The fault that decided a `Broke` or `Unclear`. None there means that the stream ended badly without one.
    pub fault: Option<Fault>,
    /// What is different between what was recorded and what was played. When a filter answered, of the
    /// response only the status is compared.
    pub changes: Changes,
}

impl Verdict {
    /// Back to `Forwarded` without changes; keeps memory.
    pub fn clear(&mut self) {
        self.kind = Kind::Forwarded;
        self.outcome = Outcome::default();
        self.open = false;
        self.answered = None;
        self.details.clear();
        self.fault = None;
        self.changes.clear();
    }
}

/// How a filter answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Index in the chain.
    pub filter: usize,
    /// The status, if the reply has a numeric one; none when the filter reset the stream instead.
    pub status: Option<u16>,
    /// `grpc-status` of the reply's trailers, else of its headers.
    pub grpc_status: Option<u32>,
}

impl fmt::Display for Verdict {
    /// One line: the kind and its reason. The changes are not in it, only their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        if let Some(fault) = &self.fault {
            return write!(f, ": {fault}");
        }
        if let Some(answer) = self.answered {
            match answer.status {
                Some(status) => write!(f, " {status}")?,
                None => f.write_str(" by a reset")?,
            }
            if let Some(status) = answer.grpc_status {
                write!(f, ", grpc-status {status}")?;
            }
            if !self.details.is_empty() {
                write!(f, " ({})", crate::redact::show(self.details.as_bytes()))?;
            }
            return Ok(());
        }
        match self.outcome {
            Outcome::Failed => return f.write_str(": the proxy answered"),
            Outcome::Reset => return f.write_str(": the connection was reset"),
            Outcome::Stuck => return f.write_str(": the stream never went on"),
            Outcome::Forwarded | Outcome::Answered(_) | Outcome::Open => {}
        }
        match self.changes.len() {
            0 => {}
            1 => f.write_str(": 1 change")?,
            n => write!(f, ": {n} changes")?,
        }
        if self.open {
            f.write_str(", no response recorded")?;
        }
        Ok(())
    }
}
