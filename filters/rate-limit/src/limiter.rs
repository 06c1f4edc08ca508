//! The decision: which rules apply, whether all of them admit, and what the response headers say.

use crate::config::{Config, HeadersConfig, OnContention, OnMissingKey, ResponseConfig};
use crate::gcra::Outcome;
use crate::rule::{self, Rule};
use crate::store::Table;
use tamis_matching::{ConfigError, KeyedHash, Mode, PathOptions, View};

const SECOND: u64 = 1_000_000_000;

/// A compiled configuration.
#[derive(Debug, Clone)]
pub struct Limiter {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// The slot table.
    pub table: Table,
    /// The answer to refused requests.
    pub response: ResponseConfig,
    /// How paths are read.
    pub path: PathOptions,
    mode: Mode,
    headers: HeadersConfig,
}

/// Something to count, under the name of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Index of the rule.
    pub rule: usize,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a request under one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was admitted.
    Admitted,
    /// It was refused.
    Refused,
    /// A rule in shadow mode would have refused it.
    WouldRefuse,
    /// It had no key.
    MissingKey,
    /// Its slot also belongs to another live key.
    SharedSlot,
    /// The state could not be written.
    Contention,
}

impl EventKind {
    /// The last part of a metric's name.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::WouldRefuse => "would_refuse",
            Self::MissingKey => "missing_key",
            Self::SharedSlot => "shared_slot",
            Self::Contention => "contention",
        }
    }

    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Admitted,
        Self::Refused,
        Self::WouldRefuse,
        Self::MissingKey,
        Self::SharedSlot,
        Self::Contention,
    ];
}

/// What to do with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// The rule that refuses it; `None` when it passes.
    pub refused_by: Option<usize>,
    /// Headers of the response, whoever makes it.
    pub headers: Vec<(&'static str, String)>,
    /// What to count.
    pub events: Vec<Event>,
}

struct Ask {
    rule: usize,
    hash: (u64, u64),
    cost: u64,
    shadow: bool,
}

impl Limiter {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// When it is impossible; the error says where.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {
            rules: rule::compile(config)?,
            table: Table::new(&config.store.namespace, config.store.slots),
            response: config.response.clone(),
            path: config.path,
            mode: config.mode,
            headers: config.headers,
        })
    }

    /// True when a key has the client's address in it.
    pub fn needs_source(&self) -> bool {
        self.rules.iter().any(Rule::needs_source)
    }

    /// Decides on a request at `now` (ns, monotonic). `seed` keys the hash of client data.
    pub fn decide(&self, view: &View<'_>, seed: [u64; 2], now: u64) -> Decision {
        let mut decision = Decision::default();
        if self.mode == Mode::Disabled {
            return decision;
        }
        let Some(asks) = self.asks(view, seed, &mut decision) else { return decision };
        let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
        // With several rules, none may spend for a request that another refuses.
        if asks.iter().filter(|ask| !ask.shadow).count() > 1 {
            for ask in asks.iter().filter(|ask| !ask.shadow) {
                let limit = self.rules[ask.rule].limit;
                if let Ok(outcome) = self.table.peek(limit, ask.hash, now, ask.cost)
                    && !outcome.admitted
                {
                    return self.refuse(decision, ask.rule, Some(outcome));
                }
            }
        }
        for ask in asks {
            let rule = &self.rules[ask.rule];
            let spent = self.table.spend(rule.limit, ask.hash, now, ask.cost);
            let mut count = |kind| decision.events.push(Event { rule: ask.rule, kind });
            if spent.is_ok_and(|s| s.shared) {
                count(EventKind::SharedSlot);
            }
            match spent {
                Ok(spent) if spent.outcome.admitted => {
                    count(EventKind::Admitted);
                    if !ask.shadow {
                        outcomes.push((ask.rule, spent.outcome));
                    }
                }
                _ if ask.shadow => count(EventKind::WouldRefuse),
                Ok(spent) => return self.refuse(decision, ask.rule, Some(spent.outcome)),
                Err(_) => {
                    count(EventKind::Contention);
                    if rule.on_contention == OnContention::Deny {
                        return self.refuse(decision, ask.rule, None);
                    }
                }
            }
        }
        if !self.headers.only_on_refusal {
            self.describe(&mut decision, &outcomes, false);
        }
        decision
    }

    /// The rules to ask; `None` when a missing key already refused the request.
    fn asks(&self, view: &View<'_>, seed: [u64; 2], decision: &mut Decision) -> Option<Vec<Ask>> {
        let mut asks = Vec::new();
        for (index, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.applies(view)) {
            let shadow = self.mode == Mode::Shadow || rule.mode == Mode::Shadow;
            let mut hash = KeyedHash::new(seed);
            if !rule.key(view, &mut hash) {
                decision.events.push(Event { rule: index, kind: EventKind::MissingKey });
                match (rule.on_missing_key, shadow) {
                    (OnMissingKey::Shared, _) => {}
                    (OnMissingKey::Skip, _) => continue,
                    (OnMissingKey::Deny, true) => {
                        decision.events.push(Event { rule: index, kind: EventKind::WouldRefuse });
                        continue;
                    }
                    (OnMissingKey::Deny, false) => {
                        decision.events.push(Event { rule: index, kind: EventKind::Refused });
                        decision.refused_by = Some(index);
                        return None;
                    }
                }
            }
            asks.push(Ask { rule: index, hash: hash.finish(), cost: rule.cost(view), shadow });
        }
        Some(asks)
    }

    /// A refusal by one rule. Without an outcome nobody knows how long: a second.
    fn refuse(&self, mut decision: Decision, rule: usize, outcome: Option<Outcome>) -> Decision {
        decision.refused_by = Some(rule);
        decision.events.push(Event { rule, kind: EventKind::Refused });
        if let Some(outcome) = outcome {
            self.describe(&mut decision, &[(rule, outcome)], true);
        }
        if self.headers.retry_after {
            let wait = outcome.map_or(1, |o| seconds(o.retry_after));
            decision.headers.push(("retry-after", wait.to_string()));
        }
        decision
    }

    fn describe(&self, decision: &mut Decision, outcomes: &[(usize, Outcome)], refused: bool) {
        let tightest = outcomes.iter().min_by_key(|(_, o)| (o.remaining, u64::MAX - o.reset));
        let Some((index, outcome)) = tightest else { return };
        let rule = &self.rules[*index];
        let wait = seconds(if refused { outcome.retry_after } else { outcome.reset });
        if self.headers.ratelimit {
            let policies: Vec<_> = outcomes.iter().map(|(index, _)| policy(&self.rules[*index])).collect();
            decision.headers.push(("ratelimit-policy", policies.join(", ")));
            decision
                .headers
                .push(("ratelimit", format!("\"{}\";r={};t={wait}", rule.name, outcome.remaining)));
        }
        if self.headers.x_ratelimit {
            decision.headers.push(("x-ratelimit-limit", rule.limit.burst.to_string()));
            decision.headers.push(("x-ratelimit-remaining", outcome.remaining.to_string()));
            decision.headers.push(("x-ratelimit-reset", wait.to_string()));
        }
    }
}

/// A policy as a structured-field item; names are plain enough for a quoted string.
fn policy(rule: &Rule) -> String {
    let window = rule.per.map_or_else(String::new, |w| format!(";w={w}"));
    format!("\"{}\";q={}{window}", rule.name, rule.requests)
}

/// Whole seconds, rounded up, at least 1: a client that waits this long is never early.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(SECOND).max(1)
}

#[cfg(test)]
mod tests;
