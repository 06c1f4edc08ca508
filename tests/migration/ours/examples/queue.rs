//! Sends the path of each request through a queue to the root, which logs it.

use tamis_sdk::log;
use tamis_sdk::prelude::*;
use tamis_sdk::shared::Queue;

struct Send(Queue);

impl Filter for Send {
    type Config = ();

    fn new(_: (), root: &Root) -> Result<Self> {
        let queue = Queue::register("paths")?;
        let inbox = queue.clone();
        root.spawn(async move {
            while let Ok(path) = inbox.next().await {
                log::info!("seen {}", path.escape_ascii());
            }
        });
        Ok(Self(queue))
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        self.0.push(request.path().unwrap_or_default())?;
        next.run(request).await
    }
}

export!(Send);
