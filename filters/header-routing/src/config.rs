//! What a user writes.

use serde::Deserialize;
use tamis_matching::{HeaderEditsConfig, Mode, PathOptions, RequestConfig};

/// Configuration of the header-routing filter.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `ENFORCE` acts, `SHADOW` only counts and logs, `DISABLED` does nothing.
    #[serde(default)]
    pub mode: Mode,
    /// Request headers that clients may not send: removed before any rule looks, in any spelling (`x_route`
    /// for `x-route`). Name here what your routes match.
    #[serde(default)]
    pub strip_request_headers: Vec<String>,
    /// Rules in order; the first that fits acts.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// What happens when no rule fits.
    #[serde(default)]
    pub default: Option<ActionConfig>,
    /// Key of the hash behind splits: filters with the same seed put the same user on the same side.
    #[serde(default)]
    pub split_seed: String,
    /// A response header that names the rule that acted (and the variant: `rule/variant`).
    #[serde(default)]
    pub debug_header: Option<String>,
    /// How strictly paths are read for matching.
    #[serde(default)]
    pub path: PathOptions,
}

/// A rule.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Name in metrics, logs and the debug header: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Any of these has to fit; without any, the rule fits every request.
    #[serde(default, rename = "match")]
    pub matches: Vec<RequestConfig>,
    /// What to do.
    pub action: ActionConfig,
    /// `SHADOW`: count and log that the rule would have acted, and go on to the next rule.
    #[serde(default)]
    pub mode: Mode,
}

/// What to do with a request. `respond` and `redirect` answer; all other keys are for requests that go on.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActionConfig {
    /// Edits of the request headers.
    pub request_headers: HeaderEditsConfig,
    /// Edits of the response headers, whoever makes the response.
    pub response_headers: HeaderEditsConfig,
    /// Another path or host for the upstream.
    pub rewrite: Option<RewriteConfig>,
    /// Weighted variants; a user stays on one.
    pub split: Option<SplitConfig>,
    /// Answer at once.
    pub respond: Option<RespondConfig>,
    /// Answer with a redirect.
    pub redirect: Option<RedirectConfig>,
}

/// Another path or host. The query stays.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewriteConfig {
    /// Replaces the start of the canonical path.
    pub prefix: Option<PrefixRewrite>,
    /// Replaces the whole path.
    pub path: Option<String>,
    /// Replaces the authority (host).
    pub authority: Option<String>,
}

/// Replaces the start of a path. When the path does not start so, it stays.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixRewrite {
    /// The start, in whole segments.
    pub from: String,
    /// What comes in its place.
    pub to: String,
}

/// Weighted variants.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// What tells users apart; the first that a request has decides. Without any, `x-request-id` does, so each
    /// request falls for itself.
    #[serde(default)]
    pub by: Vec<SplitKey>,
    /// Variants in order. Keep the sum of weights when you move weight, and only the moved users change sides.
    pub variants: Vec<VariantConfig>,
}

/// What tells users apart.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitKey {
    /// The first value of a request header.
    Header(String),
    /// The first value of a cookie.
    Cookie(String),
    /// The first value of a query parameter.
    Query(String),
}

/// A variant.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantConfig {
    /// Name in metrics and the debug header.
    pub name: String,
    /// Its share of the sum of all weights.
    pub weight: u32,
    /// Edits of the request headers, after those of the action.
    #[serde(default)]
    pub request_headers: HeaderEditsConfig,
}

/// An answer.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RespondConfig {
    /// HTTP status, 200 to 599. gRPC clients get the matching gRPC status.
    pub status: u16,
    /// Body.
    #[serde(default)]
    pub body: String,
    /// Media type of the body, `text/plain` unless given.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// A redirect: what is not given stays as in the request.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectConfig {
    /// 301, 302, 303, 307 or 308; 307 unless given.
    #[serde(default = "default_redirect")]
    pub status: u16,
    /// Another scheme.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Another host, with its port.
    #[serde(default)]
    pub authority: Option<String>,
    /// Another path; the query stays unless the path has one.
    #[serde(default)]
    pub path: Option<String>,
}

fn default_redirect() -> u16 {
    307
}
