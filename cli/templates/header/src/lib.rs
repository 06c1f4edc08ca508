//! Sets a header on every request and marks every response that went through it.

use schemars::JsonSchema;
use serde::Deserialize;
use std::rc::Rc;
use tamis_sdk::prelude::*;

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
// `JsonSchema` is for `tamis config schema`: the module carries what it takes.
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
        request.headers_mut().set(&self.config.header, &self.config.value)?;
        let mut response = next.run(request).await?;
        response.headers_mut().set("x-filtered-by", "tamis-template-header")?;
        Ok(response)
    }
}

export!(Header);

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{self, Message};

    #[test]
    fn a_request_is_stamped_and_its_response_is_marked() {
        let played = testing::run::<Header>(r#"{"header": "x-stamp", "value": "blue"}"#)
            .play(Message::get("/").header("x-stamp", "red"));
        assert_eq!(played.to_upstream().text("x-stamp").as_deref(), Some("blue"));
        assert_eq!(played.to_client().text("x-filtered-by").as_deref(), Some("tamis-template-header"));
    }

    #[test]
    fn the_shipped_configuration_is_a_configuration() {
        let config: Config = serde_json::from_str(include_str!("../config.json")).unwrap();
        assert_eq!(config.header, "x-tamis-template");
        assert_eq!(config.value, "template-value");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error =
            serde_json::from_str::<Config>(r#"{"header": "a", "value": "b", "vaule": "c"}"#).unwrap_err();
        assert!(error.to_string().contains("vaule"), "{error}");
    }
}
