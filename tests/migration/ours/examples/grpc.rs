//! Asks a gRPC service about each path.

use std::time::Duration;
use tamis_sdk::grpc::{Call, GrpcError};
use tamis_sdk::prelude::*;

struct Auth;

impl Filter for Auth {
    type Config = ();

    fn new(_: (), _root: &Root) -> Result<Self> {
        Ok(Self)
    }

    async fn handle(self: Rc<Self>, request: Request, next: Next) -> Result<Response> {
        let path = request.path().unwrap_or_default();
        let message = [&[10, path.len().min(127) as u8], &path[..path.len().min(127)]].concat();
        let call = Call::new("authz", "auth.v1.Authz", "Check").timeout(Duration::from_secs(1));
        match call.send(&message).await {
            Ok(answer) if answer == [8, 1] => next.run(request).await,
            Ok(_) | Err(GrpcError::Failed(_)) => Ok(Reply::new(403).body("not allowed\n").into()),
            Err(error) => Err(error.into()),
        }
    }
}

export!(Auth);
