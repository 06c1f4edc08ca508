//! Logs all headers, and answers one path itself.

use tamis_sdk::log;
use tamis_sdk::prelude::*;

struct Log;

impl Filter for Log {
    type Config = ();

    fn new(_: (), _root: &Root) -> Result<Self> {
        Ok(Self)
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        for (name, value) in request.headers().iter() {
            log::info!("> {}: {}", name.escape_ascii(), value.escape_ascii());
        }
        if request.path() == Some(b"/hello") {
            let reply = Reply::new(200).header("x-answered-by", "filter");
            return Ok(reply.body("hello from the filter\n").into());
        }
        let response = next.run(request).await?;
        for (name, value) in response.headers().iter() {
            log::info!("< {}: {}", name.escape_ascii(), value.escape_ascii());
        }
        Ok(response)
    }
}

export!(Log);
