//! The filter on the sdk: reads the view, does what the guard decided.

use crate::cache::Cache;
use crate::config::Config;
use crate::guard::{Decision, Guard, Kind, Refusal};
use crate::source::Removal;
use std::cell::RefCell;
use tamis_matching::{Mode, View};
use tamis_sdk::metrics::{Counter, counter};
use tamis_sdk::prelude::*;
use tamis_sdk::{Headers, clock, log};

/// gRPC's `INVALID_ARGUMENT`, for requests that cannot be judged; from 400 Envoy would make `INTERNAL`.
const INVALID_ARGUMENT: u8 = 3;

/// The auth filter.
pub struct Auth {
    guard: Guard,
    cache: RefCell<Cache>,
    passed: Counter,
    anonymous: Counter,
    refused: [(Kind, Counter); 4],
}

impl Filter for Auth {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        let guard = Guard::new(&config)?;
        let verb = if guard.mode == Mode::Shadow { "would_refuse" } else { "refused" };
        let kinds = [Kind::Missing, Kind::Invalid, Kind::Insufficient, Kind::BadRequest];
        Ok(Self {
            guard,
            cache: RefCell::default(),
            passed: counter("auth.passed"),
            anonymous: counter("auth.passed_anonymous"),
            refused: kinds.map(|kind| (kind, counter(&format!("auth.{verb}.{}", kind.text())))),
        })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let now = clock::wall().as_secs_f64();
        let view = View::new(request.headers().iter(), None, self.guard.path);
        let decision = self.guard.decide(view, now, &mut self.cache.borrow_mut());
        self.count(&decision);
        match decision.refusal {
            _ if self.guard.mode != Mode::Enforce => next.run(request).await,
            Some(refusal) => Ok(reply(refusal).into()),
            None => {
                change(request.headers_mut(), &decision)?;
                next.run(request).await
            }
        }
    }

    /// A request that could not be judged, or whose identity headers could not be set, does not pass.
    fn on_error(&self) -> OnError {
        OnError::Deny
    }
}

impl Auth {
    fn count(&self, decision: &Decision) {
        match (&decision.refusal, &decision.who) {
            (Some(refusal), _) => {
                log::debug!("{}: {}", refusal.kind.text(), refusal.reason);
                if let Some((_, counter)) = self.refused.iter().find(|(kind, _)| *kind == refusal.kind) {
                    counter.add(1);
                }
            }
            (None, Some(_)) => self.passed.add(1),
            (None, None) => self.anonymous.add(1),
        }
    }
}

fn reply(refusal: Refusal) -> Reply {
    let text = match refusal.kind {
        Kind::Missing => "authentication required",
        Kind::Invalid => "credential not accepted",
        Kind::Insufficient => "not allowed",
        Kind::BadRequest => "bad request",
    };
    let reply = Reply::new(refusal.status).body(text).details(format!("auth_{}", refusal.kind.text()));
    let reply = if refusal.kind == Kind::BadRequest { reply.grpc_status(INVALID_ARGUMENT) } else { reply };
    refusal.challenges.iter().fold(reply, |reply, challenge| reply.header("www-authenticate", challenge))
}

fn change(headers: &mut Headers, decision: &Decision) -> Result<()> {
    for name in &decision.strip {
        headers.remove(name)?;
    }
    match &decision.removal {
        None => {}
        Some(Removal::Header(name)) => headers.remove(name)?,
        Some(Removal::Path(path)) => headers.set(":path", path)?,
        Some(Removal::Cookies(cookies)) => {
            headers.remove("cookie")?;
            for cookie in cookies {
                headers.add("cookie", cookie)?;
            }
        }
    }
    for (name, value) in &decision.set {
        headers.set(name, value)?;
    }
    Ok(())
}

tamis_sdk::export!(Auth);
