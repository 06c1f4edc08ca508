//! The filter on the sdk: reads the view, asks the limiter, answers or goes on.

use crate::config::Config;
use crate::limiter::{Decision, EventKind, Limiter};
use crate::store::{Shared, Table, Unavailable, Version};
use std::time::Duration;
use tamis_matching::{View, seed_from_text};
use tamis_sdk::metrics::{Counter, counter};
use tamis_sdk::prelude::*;
use tamis_sdk::{clock, log, property, shared};

/// gRPC's `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: u8 = 8;

/// The rate-limit filter.
pub struct RateLimit {
    limiter: Limiter,
    seed: [u64; 2],
    /// One row a rule, one column a kind of event.
    counters: Vec<[Counter; EventKind::ALL.len()]>,
}

/// Shared data of the host.
struct Host;

impl Shared for Host {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Version)>, Unavailable> {
        shared::get(key).map(|found| found.map(|v| (v.value, v.version))).map_err(|_| Unavailable)
    }

    fn set(&self, key: &str, value: &[u8], version: Version) -> Result<bool, Unavailable> {
        shared::set_if(key, value, version).map_err(|_| Unavailable)
    }
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
            self.limiter.decide(&view, &Host, self.seed, nanos(now()))
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

/// The key of the hash of client data: random once per proxy, the same on all workers. The main thread's VM
/// makes it before any worker's VM exists (docs/filters.md 0.7).
fn seed(table: &Table) -> [u64; 2] {
    let key = table.seed_key();
    let known = || shared::get(&key).ok().flatten().and_then(|v| <[u8; 16]>::try_from(v.value).ok());
    let seed = known().or_else(|| {
        let mut fresh = [0; 16];
        clock::random(&mut fresh).ok()?;
        shared::set(&key, &fresh).ok()?;
        known()
    });
    match seed {
        Some(seed) => {
            let (low, high) = seed.split_at(8);
            let half = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            [half(low), half(high)]
        }
        None => {
            log::warn!("the host has no randomness: clients could choose keys that share a slot");
            seed_from_text("tamis")
        }
    }
}

tamis_sdk::export!(RateLimit);
