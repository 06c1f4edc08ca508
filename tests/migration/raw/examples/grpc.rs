//! Asks a gRPC service about each path.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Auth))
    }
}

struct Auth;

impl Auth {
    fn refuse(&self) {
        self.send_http_response(403, vec![], Some(b"not allowed\n"));
    }
}

impl Context for Auth {
    fn on_grpc_call_response(&mut self, _token: u32, status: u32, size: usize) {
        let allowed = status == 0 && self.get_grpc_call_response_body(0, size).as_deref() == Some(&[8, 1]);
        if allowed {
            self.resume_http_request();
        } else {
            self.refuse();
        }
    }
}

impl HttpContext for Auth {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
        let message = [&[10, path.len().min(127) as u8], &path[..path.len().min(127)]].concat();
        let wait = Duration::from_secs(1);
        if self.dispatch_grpc_call("authz", "auth.v1.Authz", "Check", vec![], Some(&message), wait).is_err() {
            self.refuse();
        }
        Action::Pause
    }
}
