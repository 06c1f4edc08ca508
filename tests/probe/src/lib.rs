//! A filter on the sdk that does what a script tells it and logs what came of it, in a real Envoy and in the test host
//! alike.
//!
//! The configuration is a number, under which it logs. A request brings its script in `x-script`: commands between
//! semicolons, done one after the other; those after `next` are done with the response in hand. Each logs one line.

mod commands;
mod misuse;

use std::cell::{Cell, RefCell};
use tamis_sdk::prelude::*;
use tamis_sdk::retry::{Budget, Retry};
use tamis_sdk::shared::{Lease, Queue, Slots};
use tamis_sdk::{Limit, log};

/// The filter, with what outlives its requests.
pub struct Probe {
    name: String,
    root: Root,
    limit: Limit,
    retry: Retry,
    slots: Slots,
    /// Two, as two workers would have.
    leases: [Lease; 2],
    /// None where the host refuses.
    queue: Option<Queue>,
    count: Cell<u32>,
    /// Kept beyond its exchange, to be misused.
    kept: RefCell<Option<Request>>,
}

impl Filter for Probe {
    type Config = serde_json::Value;

    fn new(config: serde_json::Value, root: &Root) -> Result<Self> {
        let name = config.to_string();
        let time = std::time::Duration::from_secs(60);
        let lease = || Lease::new(&format!("probe/{name}/lease"), time);
        Ok(Self {
            root: root.clone(),
            limit: Limit::new(1, 1),
            retry: Retry::new(root, Budget::new(0, 2)).tries(3).pause(std::time::Duration::from_millis(10)),
            slots: Slots::new(&format!("probe/{name}/slots"), 4),
            leases: [lease(), lease()],
            queue: Queue::register(&format!("probe/{name}/queue")).ok(),
            count: Cell::new(0),
            kept: RefCell::default(),
            name,
        })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        self.count.set(self.count.get() + 1);
        let line = Line { name: self.name.clone(), number: self.count.get() };
        let script = request.headers().text("x-script")?.unwrap_or_default().to_owned();
        let (before, after) = script.split_once("next").unwrap_or((&script, ""));
        for command in before.split(';') {
            match self.on_request(&line, command, &mut request).await? {
                Then::On => {}
                Then::Answer(reply) => return Ok(reply.into()),
                Then::Keep => {
                    *self.kept.borrow_mut() = Some(request);
                    return Ok(Reply::new(204).into());
                }
            }
        }
        let mut response = next.run(request).await?;
        for command in after.split(';') {
            if let Some(reply) = self.on_response(&line, command, &mut response).await? {
                return Ok(reply.into());
            }
        }
        Ok(response)
    }
}

/// What a command wants next.
enum Then {
    On,
    Answer(Reply),
    Keep,
}

/// Says who logs.
#[derive(Clone)]
struct Line {
    name: String,
    number: u32,
}

impl Line {
    fn say(&self, text: &str) {
        // The level that both engines show.
        log::warn!("~{}/{} {text}", self.name, self.number);
    }
}

tamis_sdk::export!(Probe);
