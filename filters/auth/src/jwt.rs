//! Tokens: signed JWTs in compact form (RFC 7515, 7519), read the way RFC 8725 asks for.

use crate::config::{Algorithm, ClaimHeader, IssuerConfig};
use crate::json;
use crate::jwk::{self, Key};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value};
use tamis_matching::{ConfigError, header_name};

/// Longest token unless the configuration says otherwise, bytes. A longer one is refused before any decoding.
const MAX_TOKEN: usize = 8192;
/// The highest that the configuration may say: Envoy's own limit for all headers is about as large.
const HIGHEST_MAX_TOKEN: usize = 65536;
/// Difference of clocks unless the configuration says otherwise, s.
const SKEW: f64 = 60.0;
/// The highest difference that the configuration may say, s.
const HIGHEST_SKEW: f64 = 600.0;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Longer than the issuer's limit.
    TooLong,
    /// Not three parts of strict base64url, or no JSON objects.
    Malformed,
    /// `crit` or `b64` in the header: nothing of that is understood (RFC 7515 4.1.11).
    Critical,
    /// `alg` is not on the issuer's list.
    Algorithm,
    /// `typ` is not on the issuer's list.
    Type,
    /// `iss` is nobody known.
    Issuer,
    /// No key of the issuer has this `kid` and algorithm.
    Key,
    /// The signature is not the key's.
    Signature,
    /// `exp` is missing, no number, or over.
    Expired,
    /// `nbf` is no number or still ahead.
    NotYet,
    /// `aud` names none of ours.
    Audience,
    /// A required claim is missing.
    Claim,
}

impl Bad {
    /// A few words for logs and `error_description`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooLong => "token too long",
            Self::Malformed => "token malformed",
            Self::Critical => "token has critical headers",
            Self::Algorithm => "algorithm not accepted",
            Self::Type => "token type not accepted",
            Self::Issuer => "issuer unknown",
            Self::Key => "key unknown",
            Self::Signature => "signature wrong",
            Self::Expired => "token expired",
            Self::NotYet => "token not valid yet",
            Self::Audience => "audience not accepted",
            Self::Claim => "claim missing",
        }
    }
}

/// An issuer, compiled.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its name in the configuration.
    pub name: String,
    /// Claims that become headers.
    pub headers: Vec<ClaimHeader>,
    /// True when the token stays on the request.
    pub forward: bool,
    /// The longest token, bytes.
    pub max_token: usize,
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    keys: Vec<Key>,
    typ: Vec<String>,
    skew: f64,
    require_exp: bool,
    required: Vec<String>,
}

/// A verified token.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Index of the issuer.
    pub issuer: usize,
    /// The claims.
    pub claims: Map<String, Value>,
}

impl Issuer {
    /// Compiles an issuer.
    ///
    /// # Errors
    /// When it is impossible; the error says where.
    pub fn new(config: &IssuerConfig) -> Result<Self, ConfigError> {
        let fail = |place: &str, why: &str| Err(ConfigError::new(why).at(place));
        if config.issuer.is_empty() {
            return fail("issuer", "is empty");
        }
        if config.algorithms.is_empty() {
            return fail("algorithms", "is empty");
        }
        if config.algorithms.contains(&Algorithm::HS256)
            && config.algorithms.iter().any(|a| *a != Algorithm::HS256)
        {
            return fail("algorithms", "mixes HS256 with public keys: whoever has a public key could sign");
        }
        let keys = jwk::read_set(&config.jwks.keys).map_err(|e| e.at("jwks.keys"))?;
        if !keys.iter().any(|key| config.algorithms.contains(&key.algorithm)) {
            return fail("jwks.keys", "has no key for any of `algorithms`");
        }
        let skew = config.clock_skew.map_or(SKEW, |s| s.0.as_secs_f64());
        if skew > HIGHEST_SKEW {
            return fail("clock_skew", "is above 10 minutes");
        }
        let max_token = config.max_token_bytes.unwrap_or(MAX_TOKEN);
        if !(64..=HIGHEST_MAX_TOKEN).contains(&max_token) {
            return fail("max_token_bytes", "has to be 64 to 65536");
        }
        let mut headers = config.claims_to_headers.clone();
        for (i, header) in headers.iter_mut().enumerate() {
            header.header =
                header_name(&header.header).map_err(|e| e.at(format!("claims_to_headers[{i}].header")))?;
        }
        Ok(Self {
            name: config.name.clone(),
            headers,
            forward: config.forward,
            max_token,
            issuer: config.issuer.clone(),
            audiences: config.audiences.clone(),
            algorithms: config.algorithms.clone(),
            keys,
            typ: config.typ.iter().map(|t| short_type(t)).collect(),
            skew,
            require_exp: config.require_exp,
            required: config.required_claims.clone(),
        })
    }

    /// Name that the claim `iss` has to equal.
    pub fn iss(&self) -> &str {
        &self.issuer
    }

    /// Checks what changes with time; `now` in seconds since 1970. Floating point saturates where integers
    /// would wrap.
    ///
    /// # Errors
    /// When the token is over or not valid yet, or a time is no number.
    pub fn in_time(&self, claims: &Map<String, Value>, now: f64) -> Result<(), Bad> {
        match claims.get("exp") {
            None if self.require_exp => return Err(Bad::Expired),
            None => {}
            Some(exp) => {
                let exp = exp.as_f64().ok_or(Bad::Expired)?;
                if now >= exp + self.skew {
                    return Err(Bad::Expired);
                }
            }
        }
        match claims.get("nbf").map(|nbf| nbf.as_f64()) {
            None => Ok(()),
            Some(Some(nbf)) if now + self.skew >= nbf => Ok(()),
            Some(_) => Err(Bad::NotYet),
        }
    }

    fn accepts_claims(&self, claims: &Map<String, Value>) -> Result<(), Bad> {
        if !self.audiences.is_empty() {
            let ours =
                |value: &Value| value.as_str().is_some_and(|text| self.audiences.iter().any(|a| a == text));
            let fits = match claims.get("aud") {
                Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.iter().any(ours),
                Some(value) => ours(value),
                None => false,
            };
            if !fits {
                return Err(Bad::Audience);
            }
        }
        if claims.get("sub").is_some_and(|sub| !sub.is_string()) {
            return Err(Bad::Claim);
        }
        if self.required.iter().all(|name| crate::claims::find(claims, name).is_some()) {
            Ok(())
        } else {
            Err(Bad::Claim)
        }
    }

    fn accepts_header(&self, header: &Map<String, Value>) -> Result<Algorithm, Bad> {
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Bad::Critical);
        }
        let alg = header.get("alg").and_then(Value::as_str).ok_or(Bad::Algorithm)?;
        let algorithm = self.algorithms.iter().find(|a| jwk::name(**a) == alg).ok_or(Bad::Algorithm)?;
        if !self.typ.is_empty() {
            let typ = header.get("typ").and_then(Value::as_str).ok_or(Bad::Type)?;
            if !self.typ.contains(&short_type(typ)) {
                return Err(Bad::Type);
            }
        }
        Ok(*algorithm)
    }

    /// Keys for a token: those with its `kid`, and those without a name. Nothing in a token leads outside the
    /// set: `jwk`, `jku`, `x5u` and `x5c` are not looked at.
    fn signed(
        &self,
        header: &Map<String, Value>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Bad> {
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(Bad::Key)?),
        };
        let fits = |key: &&Key| {
            key.algorithm == algorithm && (kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid)
        };
        let mut keys = self.keys.iter().filter(fits).peekable();
        if keys.peek().is_none() {
            return Err(Bad::Key);
        }
        if keys.any(|key| key.verifies(message, signature)) { Ok(()) } else { Err(Bad::Signature) }
    }
}

/// `typ` without case and without `application/` (RFC 7515 4.1.9).
fn short_type(typ: &str) -> String {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").map_or(typ.clone(), str::to_owned)
}

/// Verifies a token against the issuer that it names; `now` in seconds since 1970.
///
/// # Errors
/// The first reason not to accept it.
pub fn verify(token: &[u8], issuers: &[Issuer], now: f64) -> Result<Verified, Bad> {
    let longest = issuers.iter().map(|i| i.max_token).max().unwrap_or(0);
    if token.len() > longest {
        return Err(Bad::TooLong);
    }
    let [header, payload, signature, message] = split(token).ok_or(Bad::Malformed)?;
    let header = part(header).and_then(|bytes| json::object(&bytes)).ok_or(Bad::Malformed)?;
    let claims = part(payload).and_then(|bytes| json::object(&bytes)).ok_or(Bad::Malformed)?;
    let signature = part(signature).ok_or(Bad::Malformed)?;
    let iss = claims.get("iss").and_then(Value::as_str).ok_or(Bad::Issuer)?;
    let index = issuers.iter().position(|known| known.issuer == iss).ok_or(Bad::Issuer)?;
    let issuer = &issuers[index];
    if token.len() > issuer.max_token {
        return Err(Bad::TooLong);
    }
    let algorithm = issuer.accepts_header(&header)?;
    issuer.signed(&header, algorithm, message, &signature)?;
    issuer.in_time(&claims, now)?;
    issuer.accepts_claims(&claims)?;
    Ok(Verified { issuer: index, claims })
}

/// Header, payload, signature, and what is signed. Exactly two dots.
fn split(token: &[u8]) -> Option<[&[u8]; 4]> {
    let mut dots = token.iter().enumerate().filter(|(_, b)| **b == b'.').map(|(at, _)| at);
    let (first, second) = (dots.next()?, dots.next()?);
    if dots.next().is_some() {
        return None;
    }
    Some([&token[..first], &token[first + 1..second], &token[second + 1..], &token[..second]])
}

/// Strict base64url: no padding, no other alphabet, no stray bits at the end.
fn part(encoded: &[u8]) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(str::from_utf8(encoded).ok()?).ok()
}

#[cfg(test)]
pub(crate) mod tests;
