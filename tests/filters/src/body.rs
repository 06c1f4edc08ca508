//! Hooks for bodies, on either side.

use crate::Config;
use tamis_sdk::prelude::*;

pub(crate) struct Bodies(Config);

impl Filter for Bodies {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        Ok(Self(config))
    }

    fn on_error(&self) -> OnError {
        self.0.on_error()
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let path = request.path().map(<[u8]>::to_vec).unwrap_or_default();
        let body = request.body();
        match &path[..] {
            b"/upper" => body.transform(|piece, _| {
                piece.make_ascii_uppercase();
                Ok(())
            }),
            b"/whole" => body.rewrite(16, |whole| Ok([b"<", &whole[..], b">"].concat())),
            b"/count" => {
                let (me, mut bytes) = (self.clone(), 0);
                body.inspect(move |piece, end| {
                    bytes += piece.len();
                    if end {
                        me.0.say(format_args!("request body: {bytes}"));
                    }
                    Ok(())
                });
            }
            b"/refuse" => body.inspect(|piece, _| match piece {
                b"two" => Err(Reply::new(406).body("not this").into()),
                _ => Ok(()),
            }),
            b"/fail" => body.inspect(|piece, _| match piece {
                b"two" => Err(Error::msg("odd body")),
                _ => Ok(()),
            }),
            _ => {}
        }
        let mut response = next.run(request).await?;
        if let Some(body) = response.body() {
            match &path[..] {
                b"/down-upper" => body.transform(|piece, _| {
                    piece.make_ascii_uppercase();
                    Ok(())
                }),
                b"/down-whole" => body.rewrite(16, |whole| Ok([b"[", &whole[..], b"]"].concat())),
                b"/down-fail" => body.inspect(|_, _| Err(Error::msg("odd answer"))),
                _ => {}
            }
        }
        Ok(response)
    }
}
