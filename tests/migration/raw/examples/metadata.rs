//! Tells the upstream what the metadata of the route says.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

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
        Some(Box::new(Tier))
    }
}

struct Tier;

impl Context for Tier {}

impl HttpContext for Tier {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let path = vec!["xds", "route_metadata", "filter_metadata", "shop", "tier"];
        let tier = self.get_property(path).unwrap_or_else(|| b"none".to_vec());
        self.set_http_request_header_bytes("x-tier", Some(&tier));
        Action::Continue
    }
}
