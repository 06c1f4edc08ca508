//! The smallest useful filter and its unit test, as docs/sdk.md shows them.

use tamis_sdk::prelude::*;
struct Stamp(String);

impl Filter for Stamp {
    type Config = String;
    fn new(value: String, _root: &Root) -> Result<Self> {
        Ok(Self(value))
    }
    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        request.headers_mut().set("x-stamp", &self.0)?;
        next.run(request).await
    }
}

export!(Stamp);

// Its test.

use tamis_sdk::testing::{self, Message};

#[test]
fn the_stamp_is_ours() {
    let mut proxy = testing::run::<Stamp>(r#""blue""#).upstream(|_| Message::response(201));

    let played = proxy.play(Message::get("/").header("x-stamp", "red"));

    assert_eq!(played.to_upstream().text("x-stamp").as_deref(), Some("blue"));
    assert_eq!(played.to_client().status(), 201);
    assert!(!played.is_answered());
}

// What is promised of both.

/// The promise of the page: 15 lines each, without empty lines.
const LINES: usize = 15;

#[test]
fn each_is_fifteen_lines_at_most() {
    let parts: Vec<_> = include_str!("smallest.rs").split("\n// ").take(2).collect();
    for part in parts {
        let lines = part.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        assert!((5..=LINES).contains(&lines), "{lines} lines: {part}");
    }
}
