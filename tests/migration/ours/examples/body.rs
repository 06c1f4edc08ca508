//! Hides the bodies of responses that have a certain word.

use tamis_sdk::prelude::*;

const WORD: &[u8] = b"secret";
/// At most this much of a body is held, bytes.
const LIMIT: usize = 1 << 20;

struct Hide;

impl Filter for Hide {
    type Config = ();

    fn new(_: (), _root: &Root) -> Result<Self> {
        Ok(Self)
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        let mut response = next.run(request).await?;
        if let Some(body) = response.body() {
            body.rewrite(LIMIT, |body| {
                let found = body.windows(WORD.len()).any(|window| window == WORD);
                Ok(if found { format!("{} bytes are hidden\n", body.len()).into() } else { body })
            });
        }
        Ok(response)
    }
}

export!(Hide);
