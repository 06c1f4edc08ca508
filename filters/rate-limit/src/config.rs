//! What a user writes.

use serde::Deserialize;
use tamis_matching::{Mode, PathOptions, RequestConfig, Seconds};

/// Configuration of the rate-limit filter.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `ENFORCE` refuses, `SHADOW` only counts and logs, `DISABLED` does nothing.
    #[serde(default)]
    pub mode: Mode,
    /// Limits; every one whose `match` fits applies, and the request passes when all of them admit it.
    pub rules: Vec<RuleConfig>,
    /// Response headers.
    #[serde(default)]
    pub headers: HeadersConfig,
    /// Where the state of keys lives.
    #[serde(default)]
    pub store: StoreConfig,
    /// The answer to a refused request.
    #[serde(default)]
    pub response: ResponseConfig,
    /// How strictly paths are read for matching.
    #[serde(default)]
    pub path: PathOptions,
}

/// One limit.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Name of the policy in headers, metrics and logs: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Any of these has to fit; without any, the rule applies to every request.
    #[serde(default, rename = "match")]
    pub matches: Vec<RequestConfig>,
    /// What is counted apart; several parts make one key. Without any, all requests share one count.
    #[serde(default)]
    pub key: Vec<KeyPart>,
    /// What happens when a part of the key is missing, empty or there twice.
    #[serde(default)]
    pub on_missing_key: OnMissingKey,
    /// How much is admitted.
    pub limit: LimitConfig,
    /// What a request costs; 1 unless given.
    #[serde(default)]
    pub cost: CostConfig,
    /// What happens when the state cannot be written because too many workers write it, or the host refuses.
    #[serde(default)]
    pub on_contention: OnContention,
    /// As `mode` of the filter, for this rule.
    #[serde(default)]
    pub mode: Mode,
}

/// A part of a key.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyPart {
    /// The value of a header. Clients choose it freely unless an earlier filter sets it (auth: `claims_to_headers`).
    Header(String),
    /// The value of a query parameter.
    Query(String),
    /// The value of a cookie.
    Cookie(String),
    /// The client's address, cut to a prefix. It is what Envoy trusts: see `use_remote_address`.
    SourceAddress(Prefixes),
    /// The canonical path, without its query.
    Path,
    /// The method.
    Method,
    /// The authority, in lower case.
    Authority,
    /// A fixed text.
    Constant(String),
}

/// How many leading bits of an address are one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prefixes {
    /// Bits of an IPv4 address, 32 unless given.
    pub v4_prefix: u8,
    /// Bits of an IPv6 address, 64 unless given: a customer usually has a whole /64.
    pub v6_prefix: u8,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self { v4_prefix: 32, v6_prefix: 64 }
    }
}

/// What a request without a key gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnMissingKey {
    /// All of them share one count.
    #[default]
    Shared,
    /// The rule does not apply.
    Skip,
    /// The request is refused.
    Deny,
}

/// What a request gets whose state cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnContention {
    /// It is refused.
    #[default]
    Deny,
    /// It passes.
    Allow,
}

/// So many requests per so much time.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Requests (units of cost) that come back in `per`.
    pub requests: u64,
    /// The time, such as `"1s"` or `"1m"`; at most a day.
    pub per: Seconds,
    /// Units that may be spent at once; `requests` unless given.
    #[serde(default)]
    pub burst: Option<u64>,
}

/// What a request costs.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostConfig {
    /// Always the same.
    Fixed(u64),
    /// What a request header says, within 1 and `max`; 1 when it is missing, repeated or no integer.
    Header(CostHeader),
}

impl Default for CostConfig {
    fn default() -> Self {
        Self::Fixed(1)
    }
}

/// A header that names the cost.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostHeader {
    /// Name of the header.
    pub name: String,
    /// The highest cost, at most the burst.
    pub max: u64,
}

/// Which headers a response gets.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeadersConfig {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).
    pub ratelimit: bool,
    /// `x-ratelimit-limit`, `-remaining` and `-reset`.
    pub x_ratelimit: bool,
    /// `retry-after` on refusals (RFC 9110 10.2.3).
    pub retry_after: bool,
    /// Put the first two on refusals only.
    pub only_on_refusal: bool,
}

impl Default for HeadersConfig {
    fn default() -> Self {
        Self { ratelimit: true, x_ratelimit: false, retry_after: true, only_on_refusal: false }
    }
}

/// Where the state of keys lives: shared data of the VM id, in a table of fixed size.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Slots of the table, 16 to 1048576; about 150 bytes each once used. Shared data cannot delete, so this bounds memory.
    pub slots: u32,
    /// Keeps apart the tables of two filters that share a `vm_id`.
    pub namespace: String,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { slots: 65536, namespace: String::new() }
    }
}

/// The answer to a refused request. gRPC clients get RESOURCE_EXHAUSTED with the body as its message.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseConfig {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// Body.
    pub body: String,
}

impl Default for ResponseConfig {
    fn default() -> Self {
        Self { status: 429, body: "rate limit exceeded".into() }
    }
}
