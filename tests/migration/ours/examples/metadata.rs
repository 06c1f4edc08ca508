//! Tells the upstream what the metadata of the route says.

use tamis_sdk::prelude::*;
use tamis_sdk::property::{self, PropertyError};

struct Tier;

impl Filter for Tier {
    type Config = ();

    fn new(_: (), _root: &Root) -> Result<Self> {
        Ok(Self)
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let tier = match property::bytes(&["xds", "route_metadata", "filter_metadata", "shop", "tier"]) {
            Err(PropertyError::Absent) => b"none".to_vec(),
            tier => tier?,
        };
        request.headers_mut().set("x-tier", tier)?;
        next.run(request).await
    }
}

export!(Tier);
