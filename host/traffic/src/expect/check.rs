//! What is expected of exchanges.

use super::error::{Problem, Spot};
use super::fields::{Fields, named, word};
use super::matcher::{Comparison, FieldMatcher, Matcher};
use super::node::{Node, Value};
use crate::FaultKind;
use crate::select::{Where, WhereError, nearest};

/// One entry of `expect`.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name; made from its place when the test gives none.
    pub name: String,
    /// Where it stands.
    pub at: Spot,
    /// Which exchanges it is about.
    pub scope: Scope,
    /// How many there must be. Without it there must be one at least.
    pub count: Option<Comparison>,
    /// Which faults are expected.
    pub faults: Option<Faults>,
    /// What the client must get.
    pub reply: Option<ReplyWanted>,
    /// What the upstream must get.
    pub upstream: Option<UpstreamWanted>,
    /// Whether a filter, or its policy, closes the stream or the connection.
    pub closed: Option<bool>,
    /// What one exchange may cost, all filters together.
    pub cost: Cost,
    /// What the filters must log.
    pub logs: Option<LogsWanted>,
}

/// Which exchanges a check is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those that an expression selects.
    Where(Where),
    /// Those that no earlier `where` of the test selected.
    Others,
}

/// Which faults are expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Faults {
    /// None of any kind.
    None,
    /// Each of these, and no other kind.
    Exactly(Vec<FaultKind>),
}

/// What the client must get.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyWanted {
    /// The recorded response, but for noise.
    Recorded,
    /// A response with these properties.
    Like {
        /// The status.
        status: Option<Comparison>,
        /// `grpc-status`, of trailers or else headers.
        grpc_status: Option<Comparison>,
        /// Headers.
        headers: Vec<FieldMatcher>,
        /// Trailers.
        trailers: Vec<FieldMatcher>,
        /// The body.
        body: Option<Matcher>,
    },
}

/// What the upstream must get.
#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamWanted {
    /// Nothing: the request must not reach it.
    None,
    /// The recorded request.
    Recorded,
    /// A request with these properties.
    Like {
        /// Headers; `method` and `path` are written as `:method` and `:path` here.
        headers: Vec<FieldMatcher>,
        /// The body.
        body: Option<Matcher>,
    },
}

/// What one exchange may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// wasmtime fuel.
    pub fuel: Option<Comparison>,
    /// Calls from filters into the host.
    pub host_calls: Option<Comparison>,
    /// Growth of memory, bytes.
    pub memory_grown: Option<Comparison>,
}

/// What the filters must log during an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogsWanted {
    /// Nothing.
    None,
    /// Some line holds this.
    Contains(Vec<u8>),
    /// No line holds this.
    Lacks(Vec<u8>),
}

pub(super) const CHECK_KEYS: &[&str] =
    &["name", "where", "count", "faults", "reply", "upstream", "closed", "cost", "logs"];
/// What a sent exchange may expect: it is alone, so there is nothing to select or count.
pub(super) const SENT_CHECK_KEYS: &[&str] = &["faults", "reply", "upstream", "closed", "cost", "logs"];
pub(super) const REPLY_KEYS: &[&str] = &["status", "grpc_status", "headers", "trailers", "body"];
pub(super) const UPSTREAM_KEYS: &[&str] = &["method", "path", "headers", "body"];
pub(super) const COST_KEYS: &[&str] = &["fuel", "host_calls", "memory_grown"];
pub(super) const LOGS_KEYS: &[&str] = &["contains", "lacks"];

pub(super) fn read(node: &Node, name: String, keys: &[&str], file: &str) -> Result<Check, Problem> {
    let fields = Fields::of(node, "an expectation", keys)?;
    let check = Check {
        name: fields.read("name", |node| node.as_text("a name").map(str::to_owned))?.unwrap_or(name),
        at: node.at,
        scope: fields.read("where", |node| scope(node, file))?.unwrap_or(Scope::All),
        count: fields.read("count", Comparison::read)?,
        faults: fields.read("faults", faults)?,
        reply: fields.read("reply", |node| reply(node, file))?,
        upstream: fields.read("upstream", |node| upstream(node, file))?,
        closed: fields.read("closed", flag)?,
        cost: fields.read("cost", cost)?.unwrap_or_default(),
        logs: fields.read("logs", |node| logs(node, file))?,
    };
    let asks = check.count.is_some()
        || check.faults.is_some()
        || check.reply.is_some()
        || check.upstream.is_some()
        || check.closed.is_some()
        || check.cost != Cost::default()
        || check.logs.is_some();
    if !asks {
        let wanted: Vec<_> = keys.iter().copied().filter(|key| !["name", "where"].contains(key)).collect();
        return Err(Problem::new(node.at, "expectation expects nothing")
            .hint(format!("add one of {}", wanted.join(", "))));
    }
    Ok(check)
}

fn scope(node: &Node, file: &str) -> Result<Scope, Problem> {
    let text = node.as_text("an expression or `others`")?;
    if text.trim() == "others" {
        return Ok(Scope::Others);
    }
    Where::parse(text).map(Scope::Where).map_err(|error| {
        let problem = Problem::new(place(node, text, file, &error), format!("`where`: {}", error.kind));
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    })
}

/// Where in the file the error of an expression is; the start of the expression when it is written in a way
/// (folded, with escapes) in which columns do not carry over.
fn place(node: &Node, text: &str, file: &str, error: &WhereError) -> Spot {
    let raw = node.raw(file);
    let before = match raw.strip_prefix(['"', '\'']) {
        Some(inner) if inner.strip_suffix(['"', '\'']) == Some(text) => 1,
        None if raw == text => 0,
        _ => return node.at,
    };
    if error.line > 1 {
        return node.at;
    }
    Spot { line: node.at.line, column: node.at.column + before + error.column - 1 }
}

fn faults(node: &Node) -> Result<Faults, Problem> {
    if node.text() == Some("none") {
        return Ok(Faults::None);
    }
    let known = || FaultKind::ALL.iter().map(|kind| kind.code());
    let kind = |node: &Node| {
        let code = node.as_text("the code of a fault")?;
        FaultKind::ALL.iter().copied().find(|kind| kind.code() == code).ok_or_else(|| {
            let problem = Problem::new(node.at, format!("no fault has the code `{code}`"));
            match nearest(code, known()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("`none` or some of {}", known().collect::<Vec<_>>().join(", "))),
            }
        })
    };
    let kinds = node.items().iter().map(kind).collect::<Result<Vec<_>, _>>()?;
    Ok(if kinds.is_empty() { Faults::None } else { Faults::Exactly(kinds) })
}

fn reply(node: &Node, file: &str) -> Result<ReplyWanted, Problem> {
    if !matches!(node.value, Value::Map(_)) {
        return word(node, &[("recorded", ())]).map(|()| ReplyWanted::Recorded);
    }
    let fields = Fields::of(node, "`reply`", REPLY_KEYS)?;
    Ok(ReplyWanted::Like {
        status: fields.read("status", Comparison::read)?,
        grpc_status: fields.read("grpc_status", Comparison::read)?,
        headers: fields.read("headers", |node| matchers(node, file))?.unwrap_or_default(),
        trailers: fields.read("trailers", |node| matchers(node, file))?.unwrap_or_default(),
        body: fields.read("body", |node| Matcher::read(node, file))?,
    })
}

fn upstream(node: &Node, file: &str) -> Result<UpstreamWanted, Problem> {
    if !matches!(node.value, Value::Map(_)) {
        let none = word(node, &[("none", true), ("recorded", false)])?;
        return Ok(if none { UpstreamWanted::None } else { UpstreamWanted::Recorded });
    }
    let fields = Fields::of(node, "`upstream`", UPSTREAM_KEYS)?;
    let mut headers = Vec::new();
    for (key, name) in [("method", ":method"), ("path", ":path")] {
        if let Some(matcher) = fields.read(key, |node| Matcher::read(node, file))? {
            headers.push(FieldMatcher { name: name.to_owned(), matcher });
        }
    }
    headers.extend(fields.read("headers", |node| matchers(node, file))?.unwrap_or_default());
    Ok(UpstreamWanted::Like { headers, body: fields.read("body", |node| Matcher::read(node, file))? })
}

fn flag(node: &Node) -> Result<bool, Problem> {
    match node.value {
        Value::Bool(value) => Ok(value),
        _ => Err(node.expected("`true` or `false`")),
    }
}

fn matchers(node: &Node, file: &str) -> Result<Vec<FieldMatcher>, Problem> {
    let one = |(name, node): (&str, &Node)| {
        Ok(FieldMatcher { name: name.to_ascii_lowercase(), matcher: Matcher::read(node, file)? })
    };
    named(node, "a mapping of names to values")?.into_iter().map(one).collect()
}

fn cost(node: &Node) -> Result<Cost, Problem> {
    let fields = Fields::of(node, "`cost`", COST_KEYS)?;
    Ok(Cost {
        fuel: fields.read("fuel", Comparison::read)?,
        host_calls: fields.read("host_calls", Comparison::read)?,
        memory_grown: fields.read("memory_grown", Comparison::read)?,
    })
}

fn logs(node: &Node, file: &str) -> Result<LogsWanted, Problem> {
    if !matches!(node.value, Value::Map(_)) {
        return word(node, &[("none", ())]).map(|()| LogsWanted::None);
    }
    let fields = Fields::of(node, "`logs`", LOGS_KEYS)?;
    let bytes = |node: &Node| node.bytes(file, "text");
    match (fields.read("contains", bytes)?, fields.read("lacks", bytes)?) {
        (Some(text), None) => Ok(LogsWanted::Contains(text)),
        (None, Some(text)) => Ok(LogsWanted::Lacks(text)),
        _ => Err(Problem::new(node.at, "`logs` has exactly one of `contains` and `lacks`")),
    }
}
