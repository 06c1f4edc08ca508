//! Masks a text wherever it stands in the body of a request.

use schemars::JsonSchema;
use serde::Deserialize;
use tamis_sdk::prelude::*;

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text to mask; not empty.
    pub find: String,
    /// The largest body that is held for it, bytes: above it the client gets 413.
    pub limit: usize,
}

/// The filter: one for each configuration, shared by all its requests.
pub struct Mask {
    config: Config,
}

impl Mask {
    /// The body with `***` for the text.
    fn mask(&self, body: &[u8]) -> Vec<u8> {
        let (find, mut out, mut rest) = (self.config.find.as_bytes(), Vec::new(), body);
        while let Some(at) = rest.windows(find.len()).position(|window| window == find) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(b"***");
            rest = &rest[at + find.len()..];
        }
        out.extend_from_slice(rest);
        out
    }
}

impl Filter for Mask {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        if config.find.is_empty() {
            return Err(Error::msg(
                "configuration at `find`: the text to mask is empty",
            ));
        }
        Ok(Self { config })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let limit = self.config.limit;
        // A body follows its headers: the hook runs when it is complete, after `next.run`.
        request
            .body()
            .rewrite(limit, move |body| Ok(self.mask(&body)));
        next.run(request).await
    }
}

export!(Mask);

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{Message, Proxy};

    fn proxy() -> Proxy {
        Proxy::start::<Mask>(r#"{ "find": "4711", "limit": 16 }"#).expect("good configuration")
    }

    #[test]
    fn the_text_is_masked_wherever_it_stands() {
        let played = proxy().play(Message::request("POST", "/").body("4711,47,471147"));
        assert_eq!(
            played.upstream.map(|message| message.body),
            Some(b"***,47,***47".to_vec())
        );
    }

    #[test]
    fn a_body_above_the_limit_is_refused() {
        let played = proxy().play(Message::request("POST", "/").body("seventeen bytes!!"));
        assert_eq!(played.reply.map(|reply| reply.status()), Some(413));
    }

    #[test]
    fn the_shipped_configuration_is_good_and_an_empty_text_is_not() {
        assert!(Proxy::start::<Mask>(include_str!("../config.json")).is_ok());
        assert!(Proxy::start::<Mask>(r#"{ "find": "", "limit": 1 }"#).is_err());
    }
}
