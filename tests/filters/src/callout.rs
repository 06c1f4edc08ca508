//! Callouts, before the request goes on, in the response, beside it.

use crate::Config;
use tamis_sdk::callout::CalloutReply;
use tamis_sdk::prelude::*;

pub(crate) struct Callouts {
    config: Config,
    root: Root,
}

fn outcome<E: std::fmt::Display>(answer: &std::result::Result<CalloutReply, E>) -> String {
    match answer {
        Ok(reply) => format!("{} \"{}\"", reply.status(), reply.body.escape_ascii()),
        Err(error) => error.to_string(),
    }
}

impl Filter for Callouts {
    type Config = Config;

    fn new(config: Config, root: &Root) -> Result<Self> {
        Ok(Self { config, root: root.clone() })
    }

    fn on_error(&self) -> OnError {
        self.config.on_error()
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let path = request.path().map(<[u8]>::to_vec).unwrap_or_default();
        let say = |what: &str, answer: &std::result::Result<CalloutReply, _>| {
            self.config.say(format_args!("{what}: {}", outcome::<tamis_sdk::callout::CalloutError>(answer)));
        };
        match &path[..] {
            b"/before" | b"/two" => {
                let answer = self.config.ask("/one").send().await;
                say("one", &answer);
                request.headers_mut().set("x-one", answer?.status().to_string())?;
                if path == b"/two" {
                    let answer = self.config.ask("/two").header("x-first", "seen").send().await;
                    say("two", &answer);
                    request.headers_mut().set("x-two", answer?.status().to_string())?;
                }
            }
            b"/guard" => {
                let answer = self.config.ask("/guard").send().await?;
                if !answer.is_success() {
                    return Ok(Reply::new(403).body("not you").details("guard").into());
                }
            }
            b"/nowhere" => {
                let answer = Callout::get("no-such-cluster", "a.test", "/").send().await;
                say("nowhere", &answer);
                answer?;
            }
            b"/beside" => {
                let (config, call) = (self.config.clone(), self.config.ask("/beside"));
                self.root.spawn(async move {
                    let answer = call.send().await;
                    config.say(format_args!("beside: {}", outcome(&answer)));
                });
            }
            _ => {}
        }
        let mut response = next.run(request).await?;
        if path == b"/after" {
            let answer = self.config.ask("/after").send().await;
            say("after", &answer);
            response.headers_mut().set("x-after", answer?.status().to_string())?;
        }
        Ok(response)
    }
}
