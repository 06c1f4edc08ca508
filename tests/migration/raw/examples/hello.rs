//! A timer that logs the time and a random number.
#![cfg(target_family = "wasm")]
#![allow(missing_docs, reason = "the crate's `main!` makes a function without a word")]

use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::LogLevel;
use std::time::{Duration, UNIX_EPOCH};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Hello));
}}

struct Hello;

impl Context for Hello {}

impl RootContext for Hello {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        self.set_tick_period(Duration::from_secs(5));
        true
    }

    fn on_tick(&mut self) {
        let now = self.get_current_time().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut number = [0; 4];
        if getrandom::getrandom(&mut number).is_err() {
            return;
        }
        log::info!("{} s, lucky number {}", now.as_secs(), u32::from_le_bytes(number));
    }
}
