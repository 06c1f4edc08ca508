//! The filter on the sdk: reads the view, asks the limiter, answers or goes on.

use crate::config::Config;
use crate::limiter::{Decision, EventKind, Limiter};
use crate::store::Table;
use std::time::Duration;
use tamis_matching::{View, seed_from_text};
use tamis_sdk::metrics::{Counter, counter};
use tamis_sdk::prelude::*;
use tamis_sdk::{clock, log, property};

/// gRPC's `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: u8 = 8;

/// The rate-limit filter.
pub struct RateLimit {
    limiter: Limiter,
    seed: [u64; 2],
    /// One row a rule, one column a kind of event.
    counters: Vec<[Counter; EventKind::ALL.len()]>,
}

impl Filter for RateLimit {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        let limiter = Limiter::new(&config)?;
        let row = |rule: &crate::rule::Rule| {
            EventKind::ALL.map(|kind| counter(&format!("rate_limit.{}.{}", rule.name, kind.text())))
        };
        Ok(Self { counters: limiter.rules.iter().map(row).collect(), seed: seed(&limiter.table), limiter })
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        let source =
            if self.limiter.needs_source() { property::bytes(&["source", "address"]).ok() } else { None };
        let decision = {
            let view = View::new(request.headers().iter(), source.as_deref(), self.limiter.path);
            self.limiter.decide(&view, self.seed, nanos(now()))
        };
        self.count(&decision);
        if decision.refused_by.is_some() {
            let answer = &self.limiter.response;
            let reply = Reply::new(answer.status)
                .body(answer.body.as_str())
                .grpc_status(RESOURCE_EXHAUSTED)
                .details("rate_limited");
            return Ok(decision
                .headers
                .iter()
                .fold(reply, |reply, (name, value)| reply.header(name, value))
                .into());
        }
        let mut response = next.run(request).await?;
        for (name, value) in &decision.headers {
            response.headers_mut().set(name, value)?;
        }
        Ok(response)
    }

    /// What fails here fails after the decision, on a header: the exchange goes on.
    fn on_error(&self) -> OnError {
        OnError::Pass
    }
}

impl RateLimit {
    fn count(&self, decision: &Decision) {
        for event in &decision.events {
            self.counters[event.rule][event.kind as usize].add(1);
        }
        if let Some(rule) = decision.refused_by {
            log::debug!("refused by `{}`", self.limiter.rules[rule].name);
        }
    }
}

/// Monotonic, so that nobody's clock change gives a burst; a host without such a clock has its wall clock,
/// whose steps the limiter bounds.
fn now() -> Duration {
    clock::monotonic().unwrap_or_else(|_| clock::wall())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The key of the hash of client data: random once per proxy, the same on all workers.
fn seed(table: &Table) -> [u64; 2] {
    let mut fresh = [0; 16];
    if clock::random(&mut fresh).is_ok()
        && let Ok(seed) = table.seed().get_or_create(|| fresh)
    {
        let (low, high) = seed.split_at(8);
        let half = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        return [half(low), half(high)];
    }
    log::warn!("the host has no randomness: clients could choose keys that share a slot");
    seed_from_text("tamis")
}

tamis_sdk::export!(RateLimit);
