//! Adds a header that the configuration names to every response.

use serde::Deserialize;
use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    header: String,
    value: String,
}

struct Stamp(Config);

impl Filter for Stamp {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        Ok(Self(config))
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        let mut response = next.run(request).await?;
        response.headers_mut().add(&self.0.header, &self.0.value)?;
        Ok(response)
    }
}

export!(Stamp);
