//! A timer that logs the time and a random number.

use std::time::Duration;
use tamis_sdk::prelude::*;
use tamis_sdk::{clock, log};

struct Hello;

impl Filter for Hello {
    type Config = ();

    fn new(_: (), root: &Root) -> Result<Self> {
        root.every(Duration::from_secs(5), || {
            let mut number = [0; 4];
            if clock::random(&mut number).is_ok() {
                log::info!("{} s, lucky number {}", clock::wall().as_secs(), u32::from_le_bytes(number));
            }
        });
        Ok(Self)
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        next.run(request).await
    }
}

export!(Hello);
