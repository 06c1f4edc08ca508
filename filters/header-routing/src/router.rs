//! The decision: which rule acts on a request.

use crate::action::{Action, Answer, Variant};
use crate::config::Config;
use tamis_matching::{
    ConfigError, HeaderEdits, Mode, PathOptions, RequestMatch, StripList, View, header_name, seed_from_text,
};

/// Rules of one filter at most; all of them may be looked at for one request.
const MAX_RULES: usize = 1024;

/// A compiled configuration.
#[derive(Debug, Clone)]
pub struct Router {
    /// How paths are read.
    pub path: PathOptions,
    /// The response header that names the rule.
    pub debug_header: Option<String>,
    mode: Mode,
    strip: StripList,
    rules: Vec<Rule>,
    default: Option<Action>,
    seed: [u64; 2],
}

#[derive(Debug, Clone)]
struct Rule {
    name: String,
    mode: Mode,
    matches: Vec<RequestMatch>,
    action: Action,
}

/// What to do with a request.
#[derive(Debug, Clone, Default)]
pub struct Decision<'r> {
    /// The rule that acts; `default` when none fits and there is a default.
    pub rule: Option<&'r str>,
    /// The variant, when the rule splits.
    pub variant: Option<&'r str>,
    /// Rules in shadow mode that fit before.
    pub shadow: Vec<&'r str>,
    /// True when nothing of what follows may be done: the filter is in shadow mode.
    pub only_count: bool,
    /// Names of request headers to remove first, as they came.
    pub strip: Vec<Vec<u8>>,
    /// Edits of the request headers, one after the other.
    pub request: Vec<&'r HeaderEdits>,
    /// The new `:path`.
    pub path: Option<Vec<u8>>,
    /// The new `:authority`.
    pub authority: Option<&'r str>,
    /// The answer in place of the upstream's.
    pub answer: Option<Answer>,
    /// Edits of the response headers.
    pub response: Option<&'r HeaderEdits>,
}

impl Router {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// When it is impossible; the error says where.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        if config.rules.len() > MAX_RULES {
            return Err(ConfigError::new(format!("has more than {MAX_RULES} rules")).at("rules"));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for (i, rule) in config.rules.iter().enumerate() {
            let at = |e: ConfigError| e.at(format!("rules[{i}]"));
            check_name(&rule.name).map_err(|e| at(e.at("name")))?;
            if rule.name == "default" || rules.iter().any(|known| known.name == rule.name) {
                return Err(at(ConfigError::new(format!("`{}` is taken", rule.name)).at("name")));
            }
            let compile = |(m, config): (usize, &tamis_matching::RequestConfig)| {
                config.compile(false).map_err(|e| at(e.at(format!("match[{m}]"))))
            };
            rules.push(Rule {
                name: rule.name.clone(),
                mode: rule.mode,
                matches: rule.matches.iter().enumerate().map(compile).collect::<Result<_, _>>()?,
                action: Action::new(&rule.action).map_err(|e| at(e.at("action")))?,
            });
        }
        let mut strip = StripList::default();
        for (i, name) in config.strip_request_headers.iter().enumerate() {
            strip.add(name).map_err(|e| e.at(format!("strip_request_headers[{i}]")))?;
        }
        let debug_header =
            config.debug_header.as_deref().map(header_name).transpose().map_err(|e| e.at("debug_header"))?;
        Ok(Self {
            path: config.path,
            debug_header,
            mode: config.mode,
            strip,
            rules,
            default: config.default.as_ref().map(Action::new).transpose().map_err(|e| e.at("default"))?,
            seed: seed_from_text(&config.split_seed),
        })
    }

    /// Decides on a request. Headers to strip are invisible to the rules.
    pub fn decide<'r>(&'r self, mut view: View<'_>) -> Decision<'r> {
        if self.mode == Mode::Disabled {
            return Decision::default();
        }
        let strip = view.strip(&self.strip);
        let view = &view;
        let mut decision = Decision { only_count: self.mode == Mode::Shadow, strip, ..Decision::default() };
        for rule in &self.rules {
            let fits = rule.mode != Mode::Disabled
                && (rule.matches.is_empty() || rule.matches.iter().any(|m| m.matches(view)));
            match (fits, rule.mode) {
                (true, Mode::Shadow) => decision.shadow.push(&rule.name),
                (true, _) => return self.act(decision, &rule.name, &rule.action, view),
                (false, _) => {}
            }
        }
        match &self.default {
            Some(action) => self.act(decision, "default", action, view),
            None => decision,
        }
    }

    fn act<'r>(
        &self,
        decision: Decision<'r>,
        name: &'r str,
        action: &'r Action,
        view: &View<'_>,
    ) -> Decision<'r> {
        let variant: Option<&'r Variant> = action.variant(view, self.seed);
        let edits = [Some(&action.request), variant.map(|v| &v.request)];
        Decision {
            rule: Some(name),
            variant: variant.map(|v| v.name.as_str()),
            request: edits.into_iter().flatten().filter(|e| !e.is_empty()).collect(),
            path: action.path(view),
            authority: action.authority(),
            answer: action.answer(view),
            response: Some(&action.response).filter(|e| !e.is_empty()),
            ..decision
        }
    }

    /// Names of all rules and variants, for metrics: `rule` or `rule/variant`.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|r| r.name.as_str()).chain(self.default.as_ref().map(|_| "default"))
    }
}

/// Names go into metrics and headers.
pub(crate) fn check_name(name: &str) -> Result<(), ConfigError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return Err(ConfigError::new("has to be 1 to 64 letters, digits, `-`, `_` or `.`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
