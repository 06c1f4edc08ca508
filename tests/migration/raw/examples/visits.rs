//! Counts requests over all workers.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, Status};

const KEY: &str = "visits/count";
const TRIES: u32 = 32;

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
        Some(Box::new(Visits))
    }
}

struct Visits;

impl Visits {
    /// `None` when other workers were faster each time, or the host refuses.
    fn count(&self) -> Option<u64> {
        for _ in 0..TRIES {
            let (bytes, cas) = self.get_shared_data(KEY);
            let before = bytes.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
            let count = before.unwrap_or(0) + 1;
            match self.set_shared_data(KEY, Some(&count.to_le_bytes()), cas) {
                Ok(()) => return Some(count),
                Err(Status::CasMismatch) => {}
                Err(_) => return None,
            }
        }
        None
    }
}

impl Context for Visits {}

impl HttpContext for Visits {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        match self.count() {
            Some(count) => self.set_http_request_header("x-visit", Some(&count.to_string())),
            None => {
                self.send_http_response(500, vec![], None);
                return Action::Pause;
            }
        }
        Action::Continue
    }
}
