//! What a user writes.

use serde::Deserialize;
use serde_json::Value;
use tamis_matching::{Mode, PathOptions, RequestConfig, Seconds};

/// Configuration of the auth filter.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `ENFORCE` refuses, `SHADOW` only counts and logs, `DISABLED` does nothing.
    #[serde(default)]
    pub mode: Mode,
    /// The realm of challenges.
    #[serde(default = "default_realm")]
    pub realm: String,
    /// Request headers that clients may not send, besides those that this filter sets: removed on every path
    /// and in any spelling (`x_user` for `x-user`). A `*` at the end stands for any rest.
    #[serde(default)]
    pub strip_request_headers: Vec<String>,
    /// Headers that ask servers to read another method or path than the one judged here
    /// (`x-http-method-override`, `x-original-url`, …).
    #[serde(default)]
    pub override_headers: OverrideHeaders,
    /// Who may issue JWTs.
    #[serde(default)]
    pub issuers: Vec<IssuerConfig>,
    /// API keys.
    #[serde(default)]
    pub api_keys: Option<ApiKeysConfig>,
    /// Rules in order; the first that fits decides.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// What is required when no rule fits.
    #[serde(default)]
    pub default: Require,
    /// Let CORS preflights pass without a credential: OPTIONS with `origin` and `access-control-request-method`.
    #[serde(default)]
    pub allow_preflight: bool,
    /// Tell clients why a credential was refused (`error_description`). Logs always know.
    #[serde(default)]
    pub expose_reason: bool,
    /// How strictly paths are read. A path with more than one reading is answered 400 when a rule looks at paths.
    #[serde(default)]
    pub path: PathOptions,
}

fn default_realm() -> String {
    "api".into()
}

/// What happens to headers that override the method or path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OverrideHeaders {
    /// They are removed.
    #[default]
    Strip,
    /// They stay: the upstream may serve something else than what was judged.
    Keep,
}

/// Somebody who issues JWTs.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// Name in `accept`, metrics and logs.
    pub name: String,
    /// The claim `iss`, byte for byte.
    pub issuer: String,
    /// The claim `aud` has to hold one of these, byte for byte. Without any, it is not looked at.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Algorithms that are accepted. `HS256` excludes the others.
    pub algorithms: Vec<Algorithm>,
    /// The keys: a JWK set (RFC 7517) in place.
    pub jwks: Jwks,
    /// The header `typ` has to be one of these (`at+jwt`, RFC 9068). Without any, it is not looked at.
    #[serde(default)]
    pub typ: Vec<String>,
    /// How far clocks may differ; 60 s unless given, at most 10 minutes.
    #[serde(default)]
    pub clock_skew: Option<Seconds>,
    /// Refuse tokens without `exp`.
    #[serde(default = "yes")]
    pub require_exp: bool,
    /// Claims that have to be there.
    #[serde(default)]
    pub required_claims: Vec<String>,
    /// Request headers made from claims. What the client sent under these names is always removed.
    #[serde(default)]
    pub claims_to_headers: Vec<ClaimHeader>,
    /// Leave the token on the request.
    #[serde(default)]
    pub forward: bool,
    /// Longest token, bytes; 8192 unless given, at most 65536. A longer one is refused undecoded.
    #[serde(default)]
    pub max_token_bytes: Option<usize>,
    /// Where the token is; `[{header: authorization, scheme: Bearer}]` unless given.
    #[serde(default)]
    pub from: Vec<SourceConfig>,
}

fn yes() -> bool {
    true
}

/// A JWK set.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
pub struct Jwks {
    /// The keys. Members and key types that are not known are ignored (RFC 7517 4 and 5).
    pub keys: Vec<Value>,
}

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256; keys of 2048 to 4096 bits.
    RS256,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// HMAC with SHA-256; secrets of at least 32 bytes.
    HS256,
}

/// A claim that becomes a header.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimHeader {
    /// The claim; dots lead into objects (`realm.roles`) unless a claim has the whole name.
    pub claim: String,
    /// The header. A list is joined with commas; an object, a control character, a list item with a comma or
    /// more than 4096 bytes give no header.
    pub header: String,
}

/// A place on the request: one of `header`, `query`, `cookie`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// A header.
    pub header: Option<String>,
    /// The scheme before the value (`Bearer`), compared without case.
    pub scheme: Option<String>,
    /// A query parameter. Access logs of what is before this filter have it.
    pub query: Option<String>,
    /// A cookie.
    pub cookie: Option<String>,
}

/// API keys.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeysConfig {
    /// Where the key is; `[{header: x-api-key}]` unless given.
    #[serde(default)]
    pub from: Vec<SourceConfig>,
    /// The keys, hashed. Several keys may name one client, which is how they are rotated.
    pub keys: Vec<ApiKeyConfig>,
    /// A request header that gets the client's name. What the client sent under this name is always removed.
    #[serde(default)]
    pub client_header: Option<String>,
    /// Leave the key on the request.
    #[serde(default)]
    pub forward: bool,
}

/// An API key.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// Whose it is.
    pub client: String,
    /// SHA-256 of the key, 64 hex digits or base64 (`printf %s "$KEY" | sha256sum`). Keys have to be random,
    /// 128 bits or more: a fast hash does not protect a guessable one.
    pub sha256: String,
    /// Scopes of the client, for rules with `scopes`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Not valid before this time, such as `2026-01-01T00:00:00Z`.
    #[serde(default)]
    pub not_before: Option<String>,
    /// Not valid from this time on.
    #[serde(default)]
    pub expires: Option<String>,
}

/// A rule.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Any of these has to fit; without any, the rule fits every request.
    #[serde(default, rename = "match")]
    pub matches: Vec<RequestConfig>,
    /// What is required. Rules that demand something compare paths without case, so that another spelling
    /// never gets a weaker rule.
    pub require: Require,
    /// Names of issuers, and `api_keys`; all of them unless given.
    #[serde(default)]
    pub accept: Vec<String>,
    /// Scopes that the client needs, all of them (claims `scope` and `scp`).
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Claims that the client needs, all of them.
    #[serde(default)]
    pub claims: Vec<ClaimRule>,
}

/// What a rule requires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Require {
    /// A valid credential.
    #[default]
    Required,
    /// A valid credential or none.
    Optional,
    /// Nothing; credentials are not looked at.
    None,
    /// Nobody may.
    Deny,
}

/// A condition on a claim.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRule {
    /// The claim; dots as in `claims_to_headers`.
    pub claim: String,
    /// The claim is one of these, or a list with one of these.
    pub values: Vec<String>,
}
