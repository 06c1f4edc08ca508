//! Asks two services at once, and tells the upstream what both said.

use std::time::Duration;
use tamis_sdk::future::join;
use tamis_sdk::prelude::*;

struct Both;

impl Filter for Both {
    type Config = ();

    fn new(_: (), _root: &Root) -> Result<Self> {
        Ok(Self)
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let ask = |cluster| Callout::get(cluster, cluster, "/").timeout(Duration::from_secs(1)).send();
        let (one, two) = join(ask("one"), ask("two")).await;
        request.headers_mut().set("x-one", one?.body)?;
        request.headers_mut().set("x-two", two?.body)?;
        next.run(request).await
    }
}

export!(Both);
