//! A header filter as one writes it on the bare proxy-wasm crate: five headers read one by one, two added, one removed.
//!
//! The work with which hosts are measured; the replay bench has the same without any SDK.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

/// What it reads of each request.
const READ: [&str; 5] = [":path", ":authority", ":method", "user-agent", "x-tenant"];

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
        Some(Box::new(Stream))
    }
}

struct Stream;

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let read: usize =
            READ.iter().filter_map(|name| self.get_http_request_header(name)).map(|value| value.len()).sum();
        // What was read decides something, or the compiler could leave the reading out.
        self.add_http_request_header("x-added-one", if read > 0 { "one" } else { "none" });
        self.add_http_request_header("x-added-two", "two");
        self.remove_http_request_header("x-remove-me");
        Action::Continue
    }
}
