//! Limits how many requests each client makes, over all workers of the proxy.

mod bucket;

use bucket::Bucket;
use schemars::JsonSchema;
use serde::Deserialize;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use std::time::Duration;
use tamis_sdk::clock;
use tamis_sdk::prelude::*;
use tamis_sdk::property::known::SOURCE_ADDRESS;
use tamis_sdk::shared::{SharedCell, Slots};

/// Clients that are told apart at a time. Shared data can not forget, so the table does not grow; when it is full of
/// busy clients, some share a bucket. A slot takes about 150 bytes.
const SLOTS: u32 = 65_536;

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header that says whose request it is: one that clients can not choose, since a filter or proxy before this one
    /// sets it. Without it the client's address counts.
    pub header: String,
    /// Requests that a client may make in each `per_seconds`.
    pub requests: u32,
    /// Seconds.
    pub per_seconds: u32,
    /// Requests that it may make at once.
    pub burst: u32,
}

/// The filter: one for each configuration, shared by all its requests.
pub struct RateLimit {
    header: String,
    bucket: Bucket,
    buckets: Slots,
    seed: [u8; 16],
}

impl RateLimit {
    /// Takes a token for the client; says how long to wait where there is none.
    fn take(&self, client: &[u8]) -> Result<Result<(), Duration>> {
        let mut hash = SipHasher13::new_with_key(&self.seed);
        hash.write(client);
        let hash = hash.finish128();
        // A change of the wall clock gives nobody a burst.
        let now = clock::monotonic().unwrap_or_else(|_| clock::wall());
        let now = u64::try_from(now.as_nanos())?;
        let is_alive = |full_at| full_at > now;
        let taken = self
            .buckets
            .update((hash.h1, hash.h2), is_alive, |full_at| {
                match self.bucket.take(full_at, now) {
                    Ok(full_at) => (Some(full_at), Ok(())),
                    Err(wait) => (None, Err(Duration::from_nanos(wait))),
                }
            });
        Ok(taken?.value)
    }
}

impl Filter for RateLimit {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        let Config {
            header,
            requests,
            per_seconds,
            burst,
        } = config;
        let per = u64::from(per_seconds) * 1_000_000_000;
        let bucket = Bucket::new(requests.into(), per, burst.into());
        let bucket = bucket.ok_or_else(|| Error::msg("configuration: this is no limit"))?;
        // The same on all workers, and known to no client: none can choose whose bucket it shares.
        let mut seed = [0; 16];
        clock::random(&mut seed)?;
        let seed =
            SharedCell::new(concat!(env!("CARGO_PKG_NAME"), "/seed")).get_or_create(|| seed)?;
        Ok(Self {
            header,
            bucket,
            buckets: Slots::new(env!("CARGO_PKG_NAME"), SLOTS),
            seed,
        })
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        let taken = match request.headers().get(&self.header) {
            Some(client) => self.take(client)?,
            None => self.take(address(&SOURCE_ADDRESS.get()?).as_bytes())?,
        };
        match taken {
            Ok(()) => next.run(request).await,
            Err(wait) => {
                // RFC 9110 10.2.3: whole seconds, never too few.
                let seconds = wait.as_nanos().div_ceil(1_000_000_000).to_string();
                Ok(Reply::new(429)
                    .header("retry-after", seconds)
                    .details("rate_limited")
                    .into())
            }
        }
    }

    /// A limit that can not be kept is no reason to serve nobody.
    fn on_error(&self) -> OnError {
        OnError::Pass
    }
}

/// Without the port, which is another one for each connection.
fn address(socket: &str) -> &str {
    socket
        .rsplit_once(':')
        .map_or(socket, |(address, _)| address)
}

export!(RateLimit);

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{self, Message, Proxy};

    const CONFIG: &str = r#"{ "header": "x-user", "requests": 1, "per_seconds": 10, "burst": 2 }"#;

    fn by(user: &str) -> Message {
        Message::get("/").header("x-user", user)
    }

    #[test]
    fn each_client_has_a_bucket_that_fills_again() {
        let mut proxy = testing::run::<RateLimit>(CONFIG);
        let status = |proxy: &mut Proxy, user| proxy.play(by(user)).to_client().status();
        assert_eq!(
            ["ada", "ada", "ada", "bob"].map(|user| status(&mut proxy, user)),
            [200, 200, 429, 200]
        );
        let refused = proxy.play(by("ada"));
        assert_eq!(
            refused.to_client().text("retry-after").as_deref(),
            Some("10")
        );
        assert_eq!(
            (refused.details.as_deref(), refused.upstream),
            (Some("rate_limited"), None)
        );
        proxy.advance(Duration::from_millis(9_999));
        assert_eq!(status(&mut proxy, "ada"), 429);
        proxy.advance(Duration::from_millis(1));
        assert_eq!(status(&mut proxy, "ada"), 200);
    }

    #[test]
    fn without_the_header_the_address_counts() {
        let mut proxy = testing::run::<RateLimit>(CONFIG);
        for (source, status) in [
            ("[::1]:1", 200),
            ("[::1]:2", 200),
            ("[::1]:3", 429),
            ("[::2]:1", 200),
        ] {
            proxy = proxy.property(&["source", "address"], source);
            assert_eq!(
                proxy.play(Message::get("/")).to_client().status(),
                status,
                "{source}"
            );
        }
    }

    #[test]
    fn a_limit_that_can_not_be_kept_lets_pass() {
        let mut proxy = testing::run::<RateLimit>(CONFIG);
        testing::refuse_shared_data();
        assert!(
            [by("ada"), by("ada"), by("ada")]
                .map(|request| proxy.play(request))
                .iter()
                .all(|p| !p.is_answered())
        );
        assert_eq!(proxy.metric("tamis.filter_errors"), Some(3));
    }

    #[test]
    fn the_shipped_configuration_is_good_and_no_limit_is_not() {
        assert!(Proxy::start::<RateLimit>(include_str!("../config.json")).is_ok());
        assert!(
            Proxy::start::<RateLimit>(&CONFIG.replace("\"burst\": 2", "\"burst\": 0")).is_err()
        );
    }
}
