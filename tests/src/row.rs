//! A row of the conformance table: filters, exchanges, peers. Read from YAML.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One row: what is played, by both engines alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What Envoy does here, in one line.
    pub says: String,
    /// The filters, first first. Each is the scripted guest.
    pub chain: Vec<Filter>,
    /// The exchanges, played one after another.
    pub exchanges: Vec<Step>,
    /// What the clusters of callouts answer, call after call; the last answer stays. A cluster that is not
    /// here is unknown to the proxy; one with an empty list has no hosts.
    #[serde(default)]
    pub callouts: BTreeMap<String, Vec<Answer>>,
    /// Time to pass before the first exchange, milliseconds: ticks.
    #[serde(default)]
    pub beforehand: u64,
    /// Time to pass after the last exchange, milliseconds: ticks and late answers.
    #[serde(default)]
    pub afterwards: u64,
}

/// A filter of the chain.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The name under which it logs.
    pub name: String,
    /// What its callbacks do unless the request brings a script.
    #[serde(default)]
    pub script: String,
    /// What happens after a trap.
    #[serde(default)]
    pub policy: Policy,
    /// Body callbacks run while headers are held.
    #[serde(default)]
    pub allow_on_headers_stop_iteration: bool,
    /// The VM it lives in; its own unless said.
    #[serde(default)]
    pub vm: Option<String>,
}

/// The failure policies of Envoy.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// `GET` unless said.
    pub method: Option<String>,
    /// `/` unless said.
    pub path: Option<String>,
    /// Headers of the request, in order. The scripts of the filters are added behind them.
    pub headers: Vec<(String, String)>,
    /// The request's body, piece by piece.
    pub body: Vec<String>,
    /// The body is sent in chunks instead of with a content-length.
    pub chunked: bool,
    /// The client speaks HTTP/2.
    pub http2: bool,
    /// Scripts by the name of the filter; `*` is for all.
    pub script: BTreeMap<String, String>,
    /// What the upstream answers.
    pub answer: Answer,
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
    pub fn all_headers(&self) -> Vec<(String, String)> {
        let mut all = self.headers.clone();
        for (name, script) in &self.script {
            let name = if name == "*" { "x-script".into() } else { format!("x-script-{name}") };
            all.push((name, script.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        if !self.body.is_empty() && !self.chunked {
            all.push(("content-length".into(), self.body.concat().len().to_string()));
        }
        all
    }
}

/// What a peer answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body, piece by piece.
    pub body: Vec<String>,
    /// The body is sent in chunks instead of with a content-length.
    pub chunked: bool,
    /// Milliseconds before the answer starts.
    pub after: u64,
    /// How it goes.
    pub end: End,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
            chunked: false,
            after: 0,
            end: End::default(),
        }
    }
}

impl Answer {
    /// All headers on the wire.
    pub fn all_headers(&self) -> Vec<(String, String)> {
        let mut all = self.headers.clone();
        if self.chunked {
            all.push(("transfer-encoding".into(), "chunked".into()));
        } else if self.status != 204 {
            all.push(("content-length".into(), self.body.concat().len().to_string()));
        }
        all
    }
}

/// How an answer goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
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
    let row = serde_saphyr::from_str(&text).with_context(|| format!("{} is no row", path.display()))?;
    let name = path.file_stem().context("a row needs a name")?.to_string_lossy().into_owned();
    Ok((name, row))
}
