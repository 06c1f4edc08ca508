//! Asks a service for a random byte about each request, and lets even ones through.
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
        self.send_http_response(403, vec![], Some(b"not today\n"));
    }
}

impl Context for Auth {
    fn on_http_call_response(&mut self, _token: u32, _headers: usize, size: usize, _trailers: usize) {
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        match body.first() {
            Some(byte) if byte % 2 == 0 => self.resume_http_request(),
            _ => self.refuse(),
        }
    }
}

impl HttpContext for Auth {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let headers = vec![(":method", "GET"), (":path", "/byte"), (":authority", "random.test")];
        if self.dispatch_http_call("random", headers, None, vec![], Duration::from_secs(1)).is_err() {
            self.refuse();
        }
        Action::Pause
    }
}
