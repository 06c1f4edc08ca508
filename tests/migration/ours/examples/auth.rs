//! Asks a service for a random byte about each request, and lets even ones through.

use std::time::Duration;
use tamis_sdk::prelude::*;

struct Auth;

impl Filter for Auth {
    type Config = ();

    fn new(_: (), _root: &Root) -> Result<Self> {
        Ok(Self)
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        let call = Callout::get("random", "random.test", "/byte").timeout(Duration::from_secs(1));
        match call.send().await?.body.first() {
            Some(byte) if byte % 2 == 0 => next.run(request).await,
            _ => Ok(Reply::new(403).body("not today\n").into()),
        }
    }
}

export!(Auth);
