//! Lets requests pass that have a valid JWT, and tells the upstream whose it is.

mod token;

use base64ct::{Base64, Encoding};
use schemars::JsonSchema;
use serde::Deserialize;
use tamis_sdk::foreign::crypto::{CryptoError, Hash, Key, verify};
use tamis_sdk::prelude::*;
use tamis_sdk::{clock, log};
use token::{Bad, Rules, bearer};

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who must have made the token.
    pub issuer: String,
    /// Whom it must be meant for.
    pub audience: String,
    /// The issuer's public RSA key, as PEM.
    pub public_key: String,
    /// The header that tells the upstream who asks.
    pub header: String,
}

/// The filter: one for each configuration, shared by all its requests.
pub struct Auth {
    rules: Rules,
    /// The key as DER: that is what proxies before Envoy 1.37 take.
    key: Vec<u8>,
    header: String,
}

impl Auth {
    /// Whose token the request has.
    fn user(&self, request: &Request) -> Result<String> {
        // The proxy joins several with commas, which no token has.
        let token = request
            .headers()
            .get("authorization")
            .and_then(bearer)
            .ok_or_else(|| refusal(None))?;
        let mut failed = None;
        // The proxy's own code verifies: a third of the time that the same takes in wasm.
        let is_signed = |text: &[u8], signature: &[u8]| {
            match verify(Hash::Sha256, Key::Der(&self.key), text, signature) {
                Ok(()) => return true,
                Err(CryptoError::Refused(why)) => log::debug!("{why}"),
                Err(error) => failed = Some(error),
            }
            false
        };
        let checked = self
            .rules
            .check(token, clock::wall().as_secs_f64(), is_signed);
        // That nobody could look is not the client's fault: it meets `on_error`, which lets nobody pass.
        failed.map_or(Ok(()), Err)?;
        Ok(checked.map_err(|bad| refusal(Some(bad)))?.sub)
    }
}

/// RFC 6750 3: who sent no token learns that one is wanted, who sent a bad one that it is bad.
fn refusal(bad: Option<Bad>) -> Reply {
    const CHALLENGE: &str = concat!("Bearer realm=\"", env!("CARGO_PKG_NAME"), "\"");
    let (error, word) = match bad {
        None => ("", "missing"),
        Some(bad) => (", error=\"invalid_token\"", bad.word()),
    };
    let reply = Reply::new(401).header("www-authenticate", format!("{CHALLENGE}{error}"));
    reply.details(format!("auth_{word}"))
}

/// What is between the lines of a PEM.
fn der(pem: &str) -> Option<Vec<u8>> {
    let pem = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let base64 = pem.strip_suffix("-----END PUBLIC KEY-----")?;
    let base64: String = base64.split_whitespace().collect();
    Base64::decode_vec(&base64).ok()
}

impl Filter for Auth {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        let Config {
            issuer,
            audience,
            public_key,
            header,
        } = config;
        let key = der(&public_key)
            .ok_or_else(|| Error::msg("configuration at `public_key`: no public key in PEM"))?;
        Ok(Self {
            rules: Rules { issuer, audience },
            key,
            header,
        })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let user = self.user(&request)?;
        // The only value: a client can not say who it is.
        request.headers_mut().set(&self.header, user)?;
        next.run(request).await
    }
}

export!(Auth);

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tamis_sdk::testing::{self, Message, Played};

    /// The token of the recorded requests.
    fn token() -> String {
        let capture = include_str!("../tests/captures/shop.jsonl");
        let token = capture
            .split("Bearer ")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        token.expect("a token was recorded").to_owned()
    }

    fn with_token() -> Message {
        Message::get("/").header("authorization", format!("Bearer {}", token()))
    }

    const CONFIG: &str = include_str!("../config.json");

    /// At the time of the recording, with a proxy that gives this answer to every signature.
    fn play(answer: &'static [u8], request: Message) -> Played {
        let wall = Duration::from_secs(1_767_607_202);
        let setup = testing::Setup {
            wall,
            ..Default::default()
        };
        let proxy = setup
            .start::<Auth>(CONFIG)
            .expect("the shipped configuration");
        proxy
            .foreign("verify_signature", move |_| Ok(answer.to_vec()))
            .play(request)
    }

    #[test]
    fn the_upstream_learns_who_asks_from_the_token_alone() {
        let header = serde_json::from_str::<Config>(CONFIG)
            .expect("it is read")
            .header;
        // Field 1, `result`: true.
        let played = play(&[8, 1], with_token().header(&header, "root"));
        assert_eq!(played.to_upstream().text(&header).as_deref(), Some("ada"));
    }

    #[test]
    fn who_has_no_good_token_is_asked_for_one() {
        let (none, bad) = (play(b"", Message::get("/")), play(b"", with_token()));
        for (played, details, is_bad) in
            [(none, "auth_missing", false), (bad, "auth_signature", true)]
        {
            assert_eq!(played.to_client().status(), 401);
            assert_eq!(played.details.as_deref(), Some(details));
            let challenge = played.to_client().text("www-authenticate");
            assert_eq!(
                challenge.map(|text| text.contains("invalid_token")),
                Some(is_bad)
            );
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let config = CONFIG.replace("BEGIN PUBLIC", "BEGIN PRIVATE");
        let refused = testing::Proxy::start::<Auth>(&config);
        assert!(refused.is_err_and(|line| line.contains("`public_key`")));
    }

    #[test]
    fn a_proxy_that_can_not_verify_lets_nobody_pass() {
        let played = testing::run::<Auth>(CONFIG).play(with_token());
        assert_eq!((played.to_client().status(), played.upstream), (500, None));
    }
}
