//! Hides the bodies of responses that have a certain word.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

const WORD: &[u8] = b"secret";

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
        Some(Box::new(Hide { held: 0 }))
    }
}

struct Hide {
    held: usize,
}

impl Context for Hide {}

impl HttpContext for Hide {
    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        // The body may get another length.
        if !end {
            self.set_http_response_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.held = size;
        if !end {
            return Action::Pause;
        }
        if let Some(body) = self.get_http_response_body(0, self.held)
            && body.windows(WORD.len()).any(|window| window == WORD)
        {
            let text = format!("{} bytes are hidden\n", body.len());
            self.set_http_response_body(0, body.len(), text.as_bytes());
        }
        Action::Continue
    }
}
