//! The top of a traffic test: filters, captures, host, callouts.

use super::answer;
use super::check::{self, CHECK_KEYS};
use super::error::{Located, Problem, Spot, TestError, one_line};
use super::fields::{Fields, word};
use super::node::{self, Node, Value};
use super::send;
use super::test::{CalloutRule, Chunks, Clock, Config, FilterRef, Host, TrafficTest};
use crate::PropertyValue;
use crate::inject::{InjectError, Injection};
use std::path::Path;
use std::time::Duration;

/// Bytes of a test file. A test is written by hand; what is larger is a capture given in its place.
pub const MAX_TEST_BYTES: usize = 1 << 20;

pub(super) const TOP_KEYS: &[&str] =
    &["filter", "config", "root_id", "chain", "capture", "host", "callouts", "expect", "send"];
pub(super) const CHAIN_KEYS: &[&str] = &["name", "filter", "config", "root_id", "allowed_capabilities"];
pub(super) const HOST_KEYS: &[&str] = &[
    "profile",
    "clock",
    "seed",
    "chunks",
    "buffer_limit",
    "allow_on_headers_stop_iteration",
    "properties",
    "inject",
];
pub(super) const CALLOUT_KEYS: &[&str] = &["cluster", "path", "answer"];
pub(super) const ANSWER_KEYS: &[&str] = &[
    "status",
    "headers",
    "trailers",
    "body",
    "grpc_status",
    "grpc_message",
    "message",
    "addresses",
    "delay",
    "reset",
    "timeout",
];

impl TrafficTest {
    /// Reads a traffic test. Nothing but `text` is looked at; `path` is for error messages.
    ///
    /// # Errors
    /// The first thing that is wrong, with line and column: bad YAML, an unknown key (with the nearest known
    /// one), a value of the wrong kind, an expression that cannot be used, a test that plays or expects nothing.
    pub fn parse(path: &Path, text: &str) -> Result<Self, TestError> {
        read(text).map_err(|problem| TestError {
            file: path.display().to_string(),
            at: problem.at,
            problem: one_line(problem.text),
            hint: problem.hint,
        })
    }
}

fn read(text: &str) -> Result<TrafficTest, Problem> {
    let start = Spot { line: 1, column: 1 };
    if text.len() > MAX_TEST_BYTES {
        let size = format!("test file of {} bytes is above the limit of {MAX_TEST_BYTES} bytes", text.len());
        return Err(Problem::new(start, size).hint("a capture is named by `capture`, not given in its place"));
    }
    let root = node::read(text)?;
    let fields = Fields::of(&root, "a traffic test", TOP_KEYS)?;
    let chain = match (fields.get("filter"), fields.get("chain")) {
        (Some(_), None) => vec![filter(&fields)?],
        (None, Some(chain)) => {
            list(chain, |node| filter(&Fields::of(node, "a filter of `chain`", CHAIN_KEYS)?))?
        }
        (Some(_), Some(chain)) => {
            return Err(Problem::new(chain.at, "`filter` and `chain` exclude each other"));
        }
        (None, None) => {
            return Err(Problem::new(root.at, "a traffic test lacks `filter`")
                .hint("`filter: .` tests the package that the test belongs to"));
        }
    };
    for key in ["config", "root_id"] {
        if let (Some(_), Some(own)) = (fields.get("chain"), fields.get(key)) {
            return Err(Problem::new(own.at, format!("`{key}` stands beside `chain`"))
                .hint(format!("give each filter of the chain its own `{key}`")));
        }
    }
    let test = TrafficTest {
        chain,
        captures: fields.read("capture", |node| list(node, located))?.unwrap_or_default(),
        host: fields.read("host", host)?.unwrap_or_default(),
        callouts: fields.read("callouts", |node| list(node, |node| callout(node, text)))?.unwrap_or_default(),
        expect: fields.read("expect", |node| checks(node, text))?.unwrap_or_default(),
        send: fields.read("send", |node| send::read_all(node, text))?.unwrap_or_default(),
    };
    match () {
        () if test.chain.is_empty() => Err(Problem::new(root.at, "`chain` has no filter")),
        () if test.captures.is_empty() && test.send.is_empty() => {
            Err(Problem::new(root.at, "nothing to play").hint("add `capture` or `send`"))
        }
        () if !test.captures.is_empty() && test.expect.is_empty() => {
            Err(Problem::new(root.at, "nothing is expected of the capture").hint("add `expect`"))
        }
        () if test.captures.is_empty() && !test.expect.is_empty() => {
            Err(Problem::new(root.at, "`expect` without `capture`")
                .hint("add `capture`, or put what is expected into `send`"))
        }
        () => Ok(test),
    }
}

/// A list's items, or the value itself as the only item.
fn list<'a, T>(node: &'a Node, read: impl FnMut(&'a Node) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
    node.items().iter().map(read).collect()
}

fn located(node: &Node) -> Result<Located<String>, Problem> {
    let value = node.as_text("a path")?.to_owned();
    if value.is_empty() {
        return Err(Problem::new(node.at, "path is empty"));
    }
    Ok(Located { value, at: node.at })
}

fn filter(fields: &Fields<'_>) -> Result<FilterRef, Problem> {
    Ok(FilterRef {
        name: fields.read("name", |node| node.as_text("a name").map(str::to_owned))?,
        filter: located(fields.need("filter", "a filter of `chain`")?)?,
        config: fields.read("config", config)?.unwrap_or_default(),
        root_id: fields.read("root_id", |node| node.as_text("a root_id").map(str::to_owned))?,
        allowed_capabilities: fields.read("allowed_capabilities", names)?.unwrap_or_default(),
    })
}

fn names(node: &Node) -> Result<Vec<String>, Problem> {
    let name = |node: &Node| node.as_text("the name of a function").map(str::to_owned);
    node.items().iter().map(name).collect()
}

fn config(node: &Node) -> Result<Config, Problem> {
    match node.value {
        Value::Map(_) | Value::List(_) => {
            let mut json = String::new();
            node.json(&mut json)?;
            Ok(Config::Inline(json))
        }
        Value::Text(_) => located(node).map(Config::File),
        _ => Err(node.expected("a configuration or the path of one")),
    }
}

fn host(node: &Node) -> Result<Host, Problem> {
    let fields = Fields::of(node, "`host`", HOST_KEYS)?;
    let number = |what: &'static str| {
        move |node: &Node| match node.value {
            Value::Int(number) => u64::try_from(number)
                .map_err(|_| Problem::new(node.at, format!("{what} is not from 0 to 2^64 - 1"))),
            _ => Err(node.expected("a number")),
        }
    };
    let flag = |node: &Node| match node.value {
        Value::Bool(value) => Ok(Located { value, at: node.at }),
        _ => Err(node.expected("`true` or `false`")),
    };
    Ok(Host {
        profile: fields.read("profile", located)?,
        clock: fields.read("clock", clock)?,
        seed: fields.read("seed", number("seed"))?,
        chunks: fields.read("chunks", chunks)?.unwrap_or_default(),
        buffer_limit: fields.read("buffer_limit", number("buffer_limit"))?,
        allow_on_headers_stop_iteration: fields.read("allow_on_headers_stop_iteration", flag)?,
        properties: fields.read("properties", properties)?,
        inject: fields.read("inject", |node| list(node, injection))?.unwrap_or_default(),
    })
}

/// A tree of properties: mappings down to what is neither a group nor a message.
fn properties(node: &Node) -> Result<PropertyValue, Problem> {
    if !matches!(node.value, Value::Map(_)) {
        return Err(node.expected("a mapping of properties"));
    }
    let mut json = String::new();
    node.json(&mut json)?;
    let json: serde_json::Value =
        serde_json::from_str(&json).map_err(|e| Problem::new(node.at, e.to_string()))?;
    Ok((&json).into())
}

fn injection(node: &Node) -> Result<Located<Injection>, Problem> {
    let text = node.as_text("a fault to inject")?;
    let value = text.parse().map_err(|error: InjectError| {
        let problem = Problem::new(node.at, format!("cannot read the fault `{text}`: {error}"));
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    })?;
    Ok(Located { value, at: node.at })
}

fn clock(node: &Node) -> Result<Clock, Problem> {
    let wrong =
        || Problem::new(node.at, "expected a time or `recorded`").hint("for instance `2026-01-01T00:00:00Z`");
    let text = node.text().ok_or_else(wrong)?;
    if text == "recorded" {
        return Ok(Clock::Recorded);
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| wrong())?;
    let nanos = time.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Clock::Fixed).ok_or_else(|| Problem::new(node.at, "clock is not from 1970 to 2262"))
}

fn chunks(node: &Node) -> Result<Chunks, Problem> {
    match node.value {
        Value::Int(size) => u32::try_from(size)
            .ok()
            .filter(|size| *size > 0)
            .map(Chunks::Size)
            .ok_or_else(|| Problem::new(node.at, "pieces are of 1 to 2^32 - 1 bytes")),
        _ => word(node, &[("recorded", Chunks::Recorded), ("whole", Chunks::Whole)])
            .map_err(|problem| problem.hint("or a number of bytes")),
    }
}

fn callout(node: &Node, file: &str) -> Result<CalloutRule, Problem> {
    let fields = Fields::of(node, "a callout", CALLOUT_KEYS)?;
    Ok(CalloutRule {
        cluster: fields.need("cluster", "a callout")?.as_text("the name of a cluster")?.to_owned(),
        path: fields.read("path", |node| node.bytes(file, "a path"))?,
        answer: answer::read(fields.need("answer", "a callout")?, file)?,
        at: node.at,
    })
}

/// `20ms`, `1.5s`: a number and a unit.
pub(super) fn duration(node: &Node) -> Result<Duration, Problem> {
    let wrong = || Problem::new(node.at, "expected a duration").hint("for instance `20ms`, `1.5s`, `500us`");
    let text = node.text().ok_or_else(wrong)?;
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

fn checks(node: &Node, file: &str) -> Result<Vec<check::Check>, Problem> {
    let number = |(i, node)| check::read(node, format!("expectation {}", i + 1), CHECK_KEYS, file);
    node.items().iter().enumerate().map(number).collect()
}
