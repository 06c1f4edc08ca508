//! A row of the conformance table: filters, exchanges, peers. Read from YAML.

use crate::proxy::Proxy;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One row: what is played, by both engines alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What Envoy does here, in one line.
    pub says: String,
    /// The filters, first first. Each is the scripted guest, or one that was written with the sdk.
    pub chain: Vec<Filter>,
    /// The exchanges, played one after another.
    #[serde(default)]
    pub exchanges: Vec<Step>,
    /// TCP connections, played one after another: the chain is of network filters then.
    #[serde(default)]
    pub connections: Vec<Vec<Act>>,
    /// What the clusters of callouts answer, call after call; the last answer stays. A cluster that is not
    /// here is unknown to the proxy; one with an empty list has no hosts. One with a gRPC answer speaks HTTP/2.
    #[serde(default)]
    pub callouts: BTreeMap<String, Vec<Answer>>,
    /// What the proxy is called and which metadata it carries.
    #[serde(default)]
    pub proxy: Proxy,
    /// Time to pass before the first exchange, milliseconds: ticks.
    #[serde(default)]
    pub beforehand: u64,
    /// Time to pass after the last exchange, milliseconds: ticks and late answers.
    #[serde(default)]
    pub afterwards: u64,
    /// The most bytes that Envoy holds back for a filter; its default unless said.
    #[serde(default)]
    pub buffer_limit: Option<u32>,
    /// The upstream speaks HTTP/2.
    #[serde(default)]
    pub upstream_http2: bool,
    /// The proxy lets WebSockets through.
    #[serde(default)]
    pub upgrades: bool,
    /// The back-off of `FAIL_RELOAD`, milliseconds; Envoy's default unless said. Envoy adds jitter.
    #[serde(default)]
    pub reload_backoff: Option<u64>,
    /// Codes of the faults that our host reports over the whole row, in order; not looked at unless said.
    #[serde(default)]
    pub faults: Option<Vec<String>>,
    /// Why our host does not do on the wire what Envoy does. What it does instead is in `NAME.host.txt`.
    #[serde(default)]
    pub deviates: Option<String>,
}

/// A step of a TCP connection; a little time passes before each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The client sends.
    Client(Piece),
    /// The upstream sends.
    Upstream(Piece),
    /// The client sends no more.
    ClientEnds,
    /// The upstream sends no more.
    UpstreamEnds,
}

/// A piece of a body: text, or a text many times over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// For what is larger than a limit.
    Many {
        /// The text.
        repeat: String,
        /// How often.
        times: usize,
    },
}

impl Piece {
    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Many { repeat, times } => repeat.repeat(*times).into_bytes(),
        }
    }
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// All bytes of a body.
pub fn whole(body: &[Piece]) -> Vec<u8> {
    body.iter().flat_map(Piece::bytes).collect()
}

/// A filter of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The name under which it logs.
    pub name: String,
    /// What its callbacks do unless the request brings a script.
    #[serde(default)]
    pub script: String,
    /// The plugin configuration as Envoy's bootstrap writes it, with its `@type`; the script is the VM configuration
    /// then.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
    /// Of the filters in `filters/`: which one, its `root_id`. `script` is its configuration then.
    #[serde(default)]
    pub kind: Option<String>,
    /// What happens after a trap.
    #[serde(default)]
    pub policy: Policy,
    /// Body callbacks run while headers are held.
    #[serde(default)]
    pub allow_on_headers_stop_iteration: bool,
    /// The VM it lives in; its own unless said.
    #[serde(default)]
    pub vm: Option<String>,
    /// The capabilities that it is restricted to; not restricted unless said.
    #[serde(default)]
    pub allowed: Option<Vec<String>>,
}

/// The failure policies of Envoy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

/// One exchange.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// `GET` unless said.
    pub method: Option<String>,
    /// `/` unless said.
    pub path: Option<String>,
    /// Headers of the request, in order. The scripts of the filters are added behind them.
    pub headers: Vec<(String, String)>,
    /// The request's body, piece by piece.
    pub body: Vec<Piece>,
    /// The trailers behind it; over HTTP/1 they need `chunked`.
    pub trailers: Vec<(String, String)>,
    /// The body is sent in chunks instead of with a content-length.
    pub chunked: bool,
    /// Headers whose values are not text, in hexadecimal digits.
    pub hex_headers: Vec<(String, String)>,
    /// Time to pass before the exchange, milliseconds.
    pub before: u64,
    /// The client asks for a WebSocket and sends the pieces of the body, as they are, after the answer.
    pub upgrade: bool,
    /// The client speaks HTTP/2.
    pub http2: bool,
    /// Scripts by the name of the filter; `*` is for all.
    pub script: BTreeMap<String, String>,
    /// What the upstream answers.
    pub answer: Answer,
    /// Frames of metadata between the pieces of the body. Both peers speak HTTP/2 then.
    pub metadata: Vec<Frame>,
    /// The client goes away before it has its answer. The same for all exchanges of a row.
    pub leaves: Option<Leaves>,
}

/// A frame of HTTP/2 metadata.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frame {
    /// How many pieces of the body go before it.
    pub after: u32,
    /// What it says.
    pub fields: Vec<(String, String)>,
}

impl Row {
    /// Peers speak HTTP/2 with frames of metadata, and what they see is not looked at.
    pub fn has_metadata(&self) -> bool {
        self.exchanges.iter().any(|step| !step.metadata.is_empty() || !step.answer.metadata.is_empty())
    }
}

impl Step {
    /// The method.
    pub fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("GET")
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }

    /// All headers that the client sends after the host, with the scripts and the content-length.
    pub fn all_headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = self.headers.clone();
        for (name, script) in &self.script {
            let name = if name == "*" { "x-script".into() } else { format!("x-script-{name}") };
            all.push((name, script.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        if self.upgrade {
            all.push(("connection".into(), "upgrade".into()));
            all.push(("upgrade".into(), "websocket".into()));
        } else if !self.body.is_empty() && !self.chunked {
            all.push(("content-length".into(), whole(&self.body).len().to_string()));
        }
        let mut all: Vec<_> = all.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        all.extend(self.hex_headers.iter().map(|(name, digits)| (name.clone(), unhex(digits))));
        all
    }
}

/// Where an exchange stands when its client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaves {
    /// A filter holds the request.
    Held,
    /// It is with the upstream.
    Waiting,
    /// The first of the answer's body has come.
    Answered,
}

/// What a peer answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body, piece by piece.
    pub body: Vec<Piece>,
    /// The trailers behind it; they need `chunked`.
    pub trailers: Vec<(String, String)>,
    /// The body is sent in chunks instead of with a content-length.
    pub chunked: bool,
    /// Milliseconds before the answer starts.
    pub after: u64,
    /// Milliseconds between two pieces of its body.
    pub between: u64,
    /// How it goes.
    pub end: End,
    /// The answer to a gRPC call or stream, in place of status, headers and body.
    pub grpc: Option<Grpc>,
    /// Frames of metadata between the pieces of the body.
    pub metadata: Vec<Frame>,
}

/// An answer in the terms of gRPC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpc {
    /// Initial metadata, in order.
    pub headers: Vec<(String, String)>,
    /// The messages, each in a frame of its own.
    pub messages: Vec<String>,
    /// The status; `0` unless said.
    pub status: u32,
    /// `grpc-message`, when it is not empty.
    pub text: String,
    /// Trailing metadata, in order.
    pub trailers: Vec<(String, String)>,
    /// The trailers do not come: nothing ends the answer.
    pub open: bool,
}

impl Grpc {
    /// Headers and trailers are one block, as gRPC sends an error that comes first.
    pub fn trailers_only(&self) -> bool {
        self.headers.is_empty() && self.messages.is_empty() && self.status != 0 && !self.open
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            chunked: false,
            after: 0,
            between: 30,
            end: End::default(),
            grpc: None,
            metadata: Vec::new(),
        }
    }
}

impl Answer {
    /// All headers on the wire.
    pub fn all_headers(&self) -> Vec<(String, String)> {
        let mut all = self.headers.clone();
        if self.chunked {
            all.push(("transfer-encoding".into(), "chunked".into()));
        } else if self.status == 101 {
            all.push(("connection".into(), "upgrade".into()));
            all.push(("upgrade".into(), "websocket".into()));
        } else if self.status != 204 {
            all.push(("content-length".into(), whole(&self.body).len().to_string()));
        }
        all
    }
}

/// Bytes from hexadecimal digits; what is none ends them.
fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| digits.get(at..at + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    (0..digits.len()).step_by(2).map_while(pair).collect()
}

/// How an answer goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// As promised.
    #[default]
    Complete,
    /// The connection is closed before the first byte.
    Reset,
    /// The connection is closed after the body's first piece.
    ResetMidBody,
    /// Nothing ever comes.
    Never,
}

/// Reads a row; the file's name, without its ending, is its name.
///
/// # Errors
/// With file, line and column of what is not understood.
pub fn read(path: &Path) -> Result<(String, Row)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let row: Row = serde_saphyr::from_str(&text).with_context(|| format!("{} is no row", path.display()))?;
    ensure!(
        row.exchanges.is_empty() != row.connections.is_empty(),
        "{}: exchanges or connections",
        path.display()
    );
    let name = path.file_stem().context("a row needs a name")?.to_string_lossy().into_owned();
    Ok((name, row))
}
