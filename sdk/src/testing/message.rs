//! What is sent, and what came of it.

use std::fmt;
use std::time::Duration;
use tamis_abi::LogLevel;

/// A request or response.
///
/// ```
/// use tamis_sdk::testing::Message;
///
/// let order = Message::request("POST", "/orders").header("content-type", "application/json").body("{}");
/// assert_eq!(order.text("Content-Type").as_deref(), Some("application/json"));
/// assert_eq!(Message::response(404).status(), 404);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Headers in order, pseudo headers among them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body; sent in one piece.
    pub body: Vec<u8>,
    /// Trailers, which follow a body.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Message {
    /// A `GET` of a path at `example.test`.
    pub fn get(path: &str) -> Self {
        Self::request("GET", path)
    }

    /// A request.
    pub fn request(method: &str, path: &str) -> Self {
        Self::default()
            .header(":authority", "example.test")
            .header(":path", path)
            .header(":method", method)
            .header(":scheme", "http")
    }

    /// A response.
    pub fn response(status: u16) -> Self {
        Self::default().header(":status", status.to_string())
    }

    /// One more header, as it is.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The body. No `content-length` is added.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// One more trailer, as it is.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    pub(super) fn is_bodiless(&self) -> bool {
        self.body.is_empty() && self.trailers.is_empty()
    }

    /// All values of a header, as text where they are, joined with `, `. `None` when there is none.
    pub fn text(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }

    /// `:status` of a response; 0 when there is none.
    pub fn status(&self) -> u16 {
        self.text(":status").and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// Readable in a failed assertion: fields as `name: value`, bytes that are no text escaped.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field =
            |(name, value): &(Vec<u8>, Vec<u8>)| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
        let fields = |list: &[_]| list.iter().map(field).collect::<Vec<_>>();
        f.debug_struct("Message")
            .field("headers", &fields(&self.headers))
            .field("body", &format_args!("\"{}\"", self.body.escape_ascii()))
            .field("trailers", &fields(&self.trailers))
            .finish()
    }
}

/// What one exchange came to.
///
/// ```
/// use tamis_sdk::testing::Played;
///
/// fn check(played: &Played) {
///     assert!(played.is_answered() && played.upstream.is_none());
///     assert_eq!(played.to_client().status(), 403);
///     assert_eq!(played.details.as_deref(), Some("rule_admins"));
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Played {
    /// What the upstream got, if anything.
    pub upstream: Option<Message>,
    /// What the client got; `None` when it still waits.
    pub reply: Option<Message>,
    /// `grpc-status` given with a reply of the filter, -1 for "from the HTTP status".
    pub grpc_status: Option<i32>,
    /// Why, as the filter's reply said.
    pub details: Option<String>,
    /// Callouts in order.
    pub callouts: Vec<Called>,
    /// Lines in the log.
    pub logs: Vec<(LogLevel, String)>,
}

impl Played {
    /// What left towards the upstream.
    ///
    /// # Panics
    /// When nothing did, with what happened instead: for assertions.
    #[track_caller]
    pub fn to_upstream(&self) -> &Message {
        self.upstream.as_ref().unwrap_or_else(|| panic!("nothing left towards the upstream: {self:?}"))
    }

    /// What left towards the client.
    ///
    /// # Panics
    /// When nothing did, with what happened instead: for assertions.
    #[track_caller]
    pub fn to_client(&self) -> &Message {
        self.reply.as_ref().unwrap_or_else(|| panic!("nothing left towards the client: {self:?}"))
    }

    /// True when the filter gave the answer.
    pub fn is_answered(&self) -> bool {
        self.details.is_some()
    }
}

/// A callout that the filter made.
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::testing::Called;
///
/// fn check(call: &Called) {
///     assert_eq!(call.cluster, "idp");
///     assert_eq!(call.message.text(":path").as_deref(), Some("/check"));
///     assert!(call.timeout <= Duration::from_secs(1));
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The cluster.
    pub cluster: String,
    /// What was sent.
    pub message: Message,
    /// How long the answer may take.
    pub timeout: Duration,
}
