//! Asks another service about every request, and answers for the upstream when it says no.

use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use tamis_sdk::prelude::*;

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The cluster of the service, by Envoy's name: in Istio `outbound|80||authz.default.svc.cluster.local`.
    pub cluster: String,
    /// The host name that the service sees.
    pub authority: String,
    /// The path to ask.
    pub path: String,
    /// How long its answer may take, milliseconds.
    pub timeout_ms: u64,
}

/// The filter: one for each configuration, shared by all its requests.
pub struct Guard {
    config: Config,
}

impl Guard {
    fn question(&self) -> Callout {
        let Config {
            cluster,
            authority,
            path,
            timeout_ms,
        } = &self.config;
        Callout::get(cluster.as_str(), authority, path).timeout(Duration::from_millis(*timeout_ms))
    }
}

impl Filter for Guard {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        Ok(Self { config })
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        // The client must not say who it is.
        request.headers_mut().remove("x-user")?;
        let mut question = self.question();
        if let Some(token) = request.headers().get_single("authorization")? {
            question = question.header("authorization", token);
        }
        // The request waits here; the proxy serves others meanwhile.
        let answer = match question.send().await {
            Ok(answer) => answer,
            Err(error) => {
                tamis_sdk::log::warn!("nobody to ask: {error}");
                return Ok(Reply::new(503).details("authz_unreachable").into());
            }
        };
        match answer.status() {
            200..=299 => {}
            401 | 403 => return Ok(Reply::new(answer.status()).details("authz_denied").into()),
            _ => return Ok(Reply::new(503).details("authz_unreachable").into()),
        }
        if let Some(user) = answer.headers.get("x-user") {
            request.headers_mut().set("x-user", user)?;
        }
        next.run(request).await
    }
}

export!(Guard);

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{Answer, Message, Played, Proxy};

    fn play(request: Message, answer: Answer) -> Played {
        let proxy = Proxy::start::<Guard>(include_str!("../config.json"));
        let mut proxy = proxy
            .expect("the shipped configuration")
            .service(move |_, _| answer.clone());
        proxy.play(request)
    }

    #[test]
    fn the_service_is_asked_and_says_who_it_is() {
        let answer = Answer::Reply(Message::response(200).header("x-user", "ada"));
        let request = Message::get("/")
            .header("authorization", "Bearer t")
            .header("x-user", "root");
        let played = play(request, answer);
        assert_eq!(
            played.callouts[0].message.text("authorization").as_deref(),
            Some("Bearer t")
        );
        let upstream = played.upstream.expect("it may go on");
        assert_eq!(upstream.text("x-user").as_deref(), Some("ada"));
    }

    #[test]
    fn a_no_is_the_answer_and_a_broken_service_is_503() {
        for (answer, status) in [
            (Answer::Reply(Message::response(403)), 403),
            (Answer::Reply(Message::response(500)), 503),
            (Answer::Reset, 503),
        ] {
            let played = play(Message::get("/"), answer);
            assert_eq!(
                (played.upstream, played.reply.map(|reply| reply.status())),
                (None, Some(status))
            );
        }
    }
}
