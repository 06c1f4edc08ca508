//! Sets a header on every request and marks every response that went through it.

use schemars::JsonSchema;
use serde::Deserialize;
use tamis_sdk::prelude::*;

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The request header to set.
    pub header: String,
    /// Its value.
    pub value: String,
}

/// The filter: one for each configuration, shared by all its requests.
pub struct Header {
    config: Config,
}

impl Filter for Header {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        Ok(Self { config })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        request
            .headers_mut()
            .set(&self.config.header, &self.config.value)?;
        let mut response = next.run(request).await?;
        response
            .headers_mut()
            .set("x-filtered-by", env!("CARGO_PKG_NAME"))?;
        Ok(response)
    }
}

export!(Header);

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{self, Message, Proxy};

    #[test]
    fn a_request_is_stamped_and_its_response_is_marked() {
        let played = testing::run::<Header>(r#"{"header": "x-stamp", "value": "blue"}"#)
            .play(Message::get("/").header("x-stamp", "red"));
        assert_eq!(
            played.to_upstream().text("x-stamp").as_deref(),
            Some("blue")
        );
        assert_eq!(
            played.to_client().text("x-filtered-by").as_deref(),
            Some(env!("CARGO_PKG_NAME"))
        );
    }

    #[test]
    fn the_shipped_configuration_is_good() {
        assert!(Proxy::start::<Header>(include_str!("../config.json")).is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let refused = Proxy::start::<Header>(r#"{"header": "a", "value": "b", "vaule": "c"}"#);
        assert!(refused.is_err_and(|line| line.contains("unknown field `vaule`")));
    }
}
