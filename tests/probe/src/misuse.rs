//! What a filter should not do and can: each is an error or nothing, never a trap.

use crate::{Line, Probe};
use tamis_sdk::prelude::*;
use tamis_sdk::{clock, metrics, property, shared};

/// Does things when it is dropped, which may be in any callback.
pub(crate) struct Late {
    pub(crate) line: Line,
    pub(crate) root: Root,
}

impl Drop for Late {
    fn drop(&mut self) {
        let answer = Reply::new(503);
        // It can be made and not sent: only `handle` and a body hook give one to the proxy.
        drop(answer);
        let set = property::set("probe.late", b"1").is_ok();
        self.root.spawn(async {});
        self.line.say(&format!("dropped {set}"));
    }
}

impl Probe {
    pub(crate) async fn misuse(&self, line: &Line, request: &mut Request) -> Result<()> {
        let say = |what: &str, error: Option<String>| line.say(&format!("{what}: {error:?}"));
        if let Some(kept) = self.kept.borrow_mut().as_mut() {
            say("another's headers", kept.headers_mut().set("x-stolen", "1").err().map(|e| e.to_string()));
            kept.body().inspect(|_, _| Ok(()));
        }
        let headers = request.headers_mut();
        say("a value with a line break", headers.set("x-a", "b\r\nx-c: d").err().map(|e| e.to_string()));
        say("a name with a space", headers.set("x a", "b").err().map(|e| e.to_string()));
        say("part of a property", property::bytes(&["request"]).err().map(|e| e.to_string()));
        say("a property with two parts", property::set("request\0path", b"x").err().map(|e| e.to_string()));
        say("a timer that is always due", None);
        self.root.every(std::time::Duration::ZERO, || {});
        metrics::counter("").add(0);
        say("an empty key", shared::get("").err().map(|e| e.to_string()));
        say("much randomness", clock::random(&mut [0; 100_000]).err().map(|e| e.to_string()));
        let late = Late { line: line.clone(), root: self.root.clone() };
        self.root.sleep(std::time::Duration::from_millis(5)).await;
        drop(late);
        Ok(())
    }
}
