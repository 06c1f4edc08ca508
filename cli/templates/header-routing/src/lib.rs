//! Names the route of a request in a header, by rules over its path and headers. The proxy's own routes look at it.

mod rules;

use rules::Rule;
use schemars::JsonSchema;
use serde::Deserialize;
use tamis_sdk::prelude::*;

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header that names the route.
    pub header: String,
    /// The rules; the first that fits decides.
    pub rules: Vec<Rule>,
}

/// The filter: one for each configuration, shared by all its requests.
pub struct Routing {
    config: Config,
}

impl Filter for Routing {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        for (at, rule) in config.rules.iter().enumerate() {
            if let Some(mistake) = rule.mistake() {
                return Err(Error::msg(format!(
                    "configuration at `rules[{at}]`: {mistake}"
                )));
            }
        }
        Ok(Self { config })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let Config { header, rules } = &self.config;
        let headers = request.headers();
        let path = request.path_without_query().unwrap_or_default();
        let route = rules::route(rules, path, |name| headers.get_single(name).ok().flatten());
        // A changed header has the proxy choose its route anew.
        match route {
            Some(route) => request.headers_mut().set(header, route)?,
            // A client must not choose for itself.
            None => request.headers_mut().remove(header)?,
        }
        next.run(request).await
    }
}

export!(Routing);

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{self, Message, Proxy};

    const CONFIG: &str = r#"{
        "header": "x-route",
        "rules": [{ "prefix": "/cart", "route": "cart" }, { "headers": { "x-beta": "yes" }, "route": "beta" }]
    }"#;

    fn route(request: Message) -> Option<String> {
        testing::run::<Routing>(CONFIG)
            .play(request)
            .to_upstream()
            .text("x-route")
    }

    #[test]
    fn the_route_is_named_and_a_client_can_not_name_it() {
        assert_eq!(route(Message::get("/cart?id=1")).as_deref(), Some("cart"));
        assert_eq!(
            route(Message::get("/").header("x-beta", "yes")).as_deref(),
            Some("beta")
        );
        assert_eq!(
            route(
                Message::get("/")
                    .header("x-beta", "yes")
                    .header("x-beta", "no")
            ),
            None
        );
        assert_eq!(route(Message::get("/").header("x-route", "beta")), None);
    }

    #[test]
    fn a_configuration_that_can_not_be_meant_is_refused() {
        assert!(Proxy::start::<Routing>(include_str!("../config.json")).is_ok());
        let refused =
            Proxy::start::<Routing>(r#"{ "header": "x", "rules": [{ "route": "all" }] }"#);
        assert!(refused.is_err_and(|line| line.contains("`rules[0]`")));
    }
}
