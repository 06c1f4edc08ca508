//! The filter on the sdk: reads the view, does what the router decided.

use crate::config::Config;
use crate::router::{Decision, Router};
use std::collections::BTreeMap;
use tamis_matching::{HeaderEdits, View};
use tamis_sdk::metrics::{Counter, counter};
use tamis_sdk::prelude::*;
use tamis_sdk::{Headers, log};

/// The header-routing filter.
pub struct HeaderRouting {
    router: Router,
    acted: BTreeMap<String, Counter>,
    would_act: BTreeMap<String, Counter>,
    unmatched: Counter,
}

impl Filter for HeaderRouting {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        let router = Router::new(&config)?;
        let counters = |what: &str| {
            let named = |name: &str| (name.to_owned(), counter(&format!("header_routing.{name}.{what}")));
            router.rule_names().map(named).collect()
        };
        Ok(Self {
            acted: counters("acted"),
            would_act: counters("would_act"),
            unmatched: counter("header_routing.unmatched"),
            router,
        })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let mut decision = self.router.decide(View::new(request.headers().iter(), None, self.router.path));
        self.count(&decision);
        if decision.only_count {
            return next.run(request).await;
        }
        let mut response: Response = match decision.answer.take() {
            Some(answer) => {
                let reply = Reply::new(answer.status).body(answer.body).details("header_routing");
                answer.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value)).into()
            }
            None => {
                change(request.headers_mut(), &decision)?;
                next.run(request).await?
            }
        };
        if let Some(edits) = decision.response {
            apply(response.headers_mut(), edits)?;
        }
        if let (Some(header), Some(rule)) = (&self.router.debug_header, decision.rule) {
            let variant = decision.variant.map_or_else(String::new, |v| format!("/{v}"));
            response.headers_mut().set(header, format!("{rule}{variant}"))?;
        }
        Ok(response)
    }

    /// Routing is no guard: an exchange that cannot be changed goes on.
    fn on_error(&self) -> OnError {
        OnError::Pass
    }
}

impl HeaderRouting {
    fn count(&self, decision: &Decision<'_>) {
        let add = |counters: &BTreeMap<String, Counter>, rule: &str| {
            if let Some(counter) = counters.get(rule) {
                counter.add(1);
            }
        };
        for rule in &decision.shadow {
            log::debug!("rule `{rule}` would have acted");
            add(&self.would_act, rule);
        }
        match decision.rule {
            Some(rule) if decision.only_count => add(&self.would_act, rule),
            Some(rule) => add(&self.acted, rule),
            None => self.unmatched.add(1),
        }
    }
}

fn change(headers: &mut Headers, decision: &Decision<'_>) -> Result<()> {
    for name in &decision.strip {
        headers.remove(name)?;
    }
    for edits in &decision.request {
        apply(headers, edits)?;
    }
    if let Some(path) = &decision.path {
        headers.set(":path", path)?;
    }
    if let Some(authority) = decision.authority {
        headers.set(":authority", authority)?;
    }
    Ok(())
}

fn apply(headers: &mut Headers, edits: &HeaderEdits) -> Result<()> {
    for name in &edits.remove {
        headers.remove(name)?;
    }
    for (name, value) in &edits.set {
        headers.set(name, value)?;
    }
    for (name, value) in &edits.add {
        headers.add(name, value)?;
    }
    Ok(())
}

tamis_sdk::export!(HeaderRouting);
