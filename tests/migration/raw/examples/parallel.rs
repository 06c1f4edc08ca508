//! Asks two services at once, and tells the upstream what both said.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, Bytes, ContextType};
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
        Some(Box::new(Both { tokens: [None; 2], answers: [const { None }; 2] }))
    }
}

struct Both {
    tokens: [Option<u32>; 2],
    answers: [Option<Bytes>; 2],
}

impl Both {
    fn ask(&self, cluster: &str) -> Option<u32> {
        let headers = vec![(":method", "GET"), (":path", "/"), (":authority", cluster)];
        self.dispatch_http_call(cluster, headers, None, vec![], Duration::from_secs(1)).ok()
    }
}

impl Context for Both {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, size: usize, _trailers: usize) {
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        if let Some(place) = self.tokens.iter().position(|known| *known == Some(token)) {
            self.answers[place] = Some(body);
        }
        if let [Some(one), Some(two)] = &self.answers {
            self.set_http_request_header_bytes("x-one", Some(one));
            self.set_http_request_header_bytes("x-two", Some(two));
            self.resume_http_request();
        }
    }
}

impl HttpContext for Both {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.tokens = [self.ask("one"), self.ask("two")];
        if self.tokens.contains(&None) {
            self.send_http_response(500, vec![], None);
        }
        Action::Pause
    }
}
