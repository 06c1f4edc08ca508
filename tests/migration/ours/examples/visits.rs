//! Counts requests over all workers.

use tamis_sdk::prelude::*;
use tamis_sdk::shared::SharedCell;

struct Visits(SharedCell<u64>);

impl Filter for Visits {
    type Config = ();

    fn new(_: (), _root: &Root) -> Result<Self> {
        Ok(Self(SharedCell::new("visits/count")))
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let count = self.0.update(|count| Some(count.unwrap_or(0) + 1))?.unwrap_or(0);
        request.headers_mut().set("x-visit", count.to_string())?;
        next.run(request).await
    }
}

export!(Visits);
