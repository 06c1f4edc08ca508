//! A traffic test as it was read.

use super::check::Check;
use super::error::{Located, Spot};
use crate::answers::{Answer, Answers};
use crate::inject::Injection;
use crate::{Body, Callout, Exchange, PropertyValue};

/// A traffic test. Paths are as written: relative to the test file, for the caller to resolve.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficTest {
    /// The filters that are played, in order; `filter` is a chain of one.
    pub chain: Vec<FilterRef>,
    /// The captures, in order.
    pub captures: Vec<Located<String>>,
    /// How the host behaves.
    pub host: Host,
    /// Answers to callouts; the first that covers a callout answers it.
    pub callouts: Vec<CalloutRule>,
    /// What is expected of the exchanges of the captures.
    pub expect: Vec<Check>,
    /// Exchanges that are in no capture, each with what is expected of it.
    pub send: Vec<Sent>,
}

/// A filter and its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterRef {
    /// A name for output, when the test gives one.
    pub name: Option<String>,
    /// A package folder, a `.wasm` file or an `oci://` reference.
    pub filter: Located<String>,
    /// The filter's configuration.
    pub config: Config,
    /// Envoy's `root_id`; the package's own unless given.
    pub root_id: Option<String>,
    /// The capabilities that it is restricted to; not restricted when there are none.
    pub allowed_capabilities: Vec<String>,
}

/// The configuration of a filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Config {
    /// None was given.
    #[default]
    None,
    /// A mapping or list in the test, as JSON with keys in the order of the file.
    Inline(String),
    /// The path of a file whose bytes are the configuration.
    File(Located<String>),
}

/// The part of a test that is about the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Host {
    /// Name of a host profile.
    pub profile: Option<Located<String>>,
    /// Where the clock starts.
    pub clock: Option<Clock>,
    /// Seed of randomness.
    pub seed: Option<u64>,
    /// How bodies arrive.
    pub chunks: Chunks,
    /// Most body bytes that are held back for a filter; the profile's unless given.
    pub buffer_limit: Option<u64>,
    /// Body callbacks run while headers are held: Envoy's filter setting of this name, for all filters.
    pub allow_on_headers_stop_iteration: Option<Located<bool>>,
    /// What the proxy is and no recording tells: a tree of properties.
    pub properties: Option<PropertyValue>,
    /// Faults that are injected, whoever is to blame for what follows.
    pub inject: Vec<Located<Injection>>,
}

/// The clock of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Each exchange at its recorded time.
    Recorded,
    /// Stands at this time, nanoseconds since the Unix epoch.
    Fixed(u64),
}

/// How bodies are cut into pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Chunks {
    /// As the capture says.
    #[default]
    Recorded,
    /// In one piece.
    Whole,
    /// In pieces of at most this many bytes; not 0.
    Size(u32),
}

impl Chunks {
    /// Cuts a body so.
    pub fn apply(self, body: &mut Body) {
        match self {
            Chunks::Recorded => {}
            Chunks::Whole => body.chunks.clear(),
            Chunks::Size(size) => {
                let lengths = body.bytes.chunks(size.max(1) as usize).map(|chunk| chunk.len() as u32);
                body.chunks.clear();
                body.chunks.extend(lengths);
            }
        }
    }
}

/// How callouts to a cluster are answered.
#[derive(Debug, Clone, PartialEq)]
pub struct CalloutRule {
    /// Name of the Envoy cluster, or the name that is resolved.
    pub cluster: String,
    /// Only callouts with this `:path`, query included; all without.
    pub path: Option<Vec<u8>>,
    /// The answer.
    pub answer: Answer,
    /// Where the rule stands.
    pub at: Spot,
}

impl CalloutRule {
    /// Whether this rule answers `callout`.
    pub fn covers(&self, callout: &Callout) -> bool {
        let path = callout.request.headers.get(b":path");
        callout.cluster == self.cluster && self.path.as_deref().is_none_or(|want| path == Some(want))
    }
}

/// An exchange that is in no capture.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The exchange: the request as given, and the response that plays the upstream (an empty 200 unless given).
    pub exchange: Exchange,
    /// What is expected of it.
    pub check: Check,
}

/// Answers by the rules; a call without one is a fault of the test.
impl Answers for TrafficTest {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let rule = self.callouts.iter().find(|rule| rule.covers(callout));
        rule.map_or(Answer::Unanswered, |rule| rule.answer.clone())
    }
}
