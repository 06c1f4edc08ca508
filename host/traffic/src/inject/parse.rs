//! `--inject SPEC`, read.

use super::{Entry, Injection, KINDS, Moment, PHASES, Share, What};
use crate::select::nearest;
use std::fmt;

/// A text that is no injection, and where it stops being one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectError {
    text: String,
    column: usize,
    what: String,
    hint: Option<String>,
}

impl InjectError {
    /// The character at which it goes wrong, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What would make it work.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.what)
    }
}

impl std::error::Error for InjectError {}

/// The parts of a text, each with the byte at which it begins.
struct Parts<'a> {
    text: &'a str,
    kind: &'a str,
    phase: Option<(usize, &'a str)>,
    value: Option<(usize, &'a str)>,
    filter: Option<(usize, &'a str)>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let split = |part: &'a str, start: usize, mark: char| match part.split_once(mark) {
            Some((before, after)) => (before, Some((start + before.len() + 1, after))),
            None => (part, None),
        };
        let (head, filter) = split(text, 0, '/');
        let (head, value) = split(head, 0, ':');
        let (kind, phase) = split(head, 0, '@');
        Self { text, kind, phase, value, filter }
    }

    fn error(&self, at: usize, what: String, hint: Option<String>) -> InjectError {
        let column = self.text.get(..at).map_or(1, |before| before.chars().count() + 1);
        InjectError { text: self.text.to_owned(), column, what, hint }
    }
}

impl std::str::FromStr for Injection {
    type Err = InjectError;

    fn from_str(text: &str) -> Result<Self, InjectError> {
        let parts = Parts::of(text);
        let moment = |p: &Parts<'_>| p.phase.map_or(Ok(Moment::Waiting), |(at, word)| moment(p, at, word));
        let what = match parts.kind {
            "trap" if parts.phase.is_none() => {
                let hint = Some("for instance `trap@request_headers:3`".to_owned());
                return Err(parts.error(text.len(), "`trap` needs a phase".to_owned(), hint));
            }
            "trap" => What::Trap(entry(&parts)?),
            "oom" => What::OutOfMemory(entry(&parts)?),
            "slow-callout" => What::SlowCallout,
            "callout-503" => What::Callout503,
            "callout-reset" => What::CalloutReset,
            "odd-header-bytes" => What::OddHeaderBytes,
            "dup-header" => What::DupHeader,
            "split-chunks" => What::SplitChunks,
            "client-abort" => What::ClientAbort(moment(&parts)?),
            other => return Err(unknown_kind(&parts, other)),
        };
        let entered = matches!(what, What::Trap(_) | What::OutOfMemory(_));
        let kind = parts.kind;
        if let Some((at, _)) = parts.phase.filter(|_| !entered && !matches!(what, What::ClientAbort(_))) {
            return Err(parts.error(at - 1, format!("`{kind}` takes no phase"), None));
        }
        let of_filters = entered || matches!(what, What::SlowCallout | What::Callout503 | What::CalloutReset);
        let filter = match parts.filter {
            None => None,
            Some((at, _)) if !of_filters => {
                let what = format!("`{kind}` is not for one filter: it is the client or the network");
                return Err(parts.error(at - 1, what, None));
            }
            Some((at, "")) => {
                return Err(parts.error(at, "the name of a filter is missing".to_owned(), None));
            }
            Some((_, name)) => Some(name.to_owned()),
        };
        let share = match parts.value {
            Some((at, value)) if !entered => share(&parts, at, value)?,
            _ => Share::ALL,
        };
        Ok(Self { text: text.to_owned(), what, share, filter })
    }
}

fn unknown_kind(parts: &Parts<'_>, kind: &str) -> InjectError {
    let words = || KINDS.iter().map(|(word, _)| word.split('@').next().unwrap_or(word));
    let hint = match nearest(kind, words()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", words().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")),
    };
    parts.error(0, format!("unknown fault `{kind}`"), Some(hint))
}

/// `@PHASE:N`; the first entry of the request headers unless said.
fn entry(parts: &Parts<'_>) -> Result<Entry, InjectError> {
    let phase = match parts.phase {
        None => "proxy_on_request_headers",
        Some((at, word)) => phase(parts, at, word)?,
    };
    let number = match parts.value {
        None => 1,
        Some((at, value)) => value.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
            let what = format!("want the number of an entry, not `{value}`");
            parts.error(at, what, Some("entries count from 1 over the whole replay".to_owned()))
        })?,
    };
    Ok(Entry { phase, number })
}

fn short(phase: &'static str) -> &'static str {
    phase.strip_prefix("proxy_on_").unwrap_or(phase)
}

fn phase(parts: &Parts<'_>, at: usize, word: &str) -> Result<&'static str, InjectError> {
    if let Some(phase) = PHASES.iter().find(|p| short(p) == word) {
        return Ok(phase);
    }
    if matches!(word, "vm_start" | "configure") {
        let what = format!("`{word}` is before all traffic");
        let hint = "a filter that breaks while it starts is refused by Envoy, whatever the policy";
        return Err(parts.error(at, what, Some(hint.to_owned())));
    }
    let word = word.strip_prefix("proxy_on_").unwrap_or(word);
    let hint = match nearest(word, PHASES.iter().map(|p| short(p))) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "phases are the ABI's callbacks without `proxy_on_`, for instance `request_headers`".to_owned()
        }
    };
    Err(parts.error(at, format!("unknown phase `{word}`"), Some(hint)))
}

fn moment(parts: &Parts<'_>, at: usize, word: &str) -> Result<Moment, InjectError> {
    Ok(match word {
        "request_headers" => Moment::RequestHeaders,
        "request_body" => Moment::RequestBody,
        "response_headers" => Moment::ResponseHeaders,
        "response_body" => Moment::ResponseBody,
        _ => {
            let what = format!("a client does not leave after `{word}`");
            let hint = "it leaves after `request_headers`, `request_body`, `response_headers` or `response_body`, \
                        or without a phase while it waits";
            return Err(parts.error(at, what, Some(hint.to_owned())));
        }
    })
}

/// `10%`, `0.5%`: more than nothing, at most all.
fn share(parts: &Parts<'_>, at: usize, value: &str) -> Result<Share, InjectError> {
    let wrong = || {
        let hint = "a rate is a share of the occasions, for instance `10%` or `0.5%`".to_owned();
        parts.error(at, format!("want a rate up to 100%, not `{value}`"), Some(hint))
    };
    let number = value.strip_suffix('%').ok_or_else(wrong)?;
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(wrong());
    }
    let percent: f64 = number.parse().map_err(|_| wrong())?;
    let millionths = (percent * 10_000.0).round();
    match millionths >= 1.0 && millionths <= f64::from(Share::ALL.0) {
        true => Ok(Share(millionths as u32)),
        false => Err(wrong()),
    }
}
