//! Logs all headers, and answers one path itself.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Headers))
    }
}

struct Headers;

impl Context for Headers {}

impl HttpContext for Headers {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        for (name, value) in self.get_http_request_headers_bytes() {
            log::info!("> {name}: {}", value.escape_ascii());
        }
        if self.get_http_request_header_bytes(":path").as_deref() == Some(b"/hello") {
            self.send_http_response(200, vec![("x-answered-by", "filter")], Some(b"hello from the filter\n"));
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        for (name, value) in self.get_http_response_headers_bytes() {
            log::info!("< {name}: {}", value.escape_ascii());
        }
        Action::Continue
    }
}
