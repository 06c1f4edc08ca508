//! What a bearer token must be like: plain Rust that knows no proxy. Who verifies signatures is told.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What tokens are held against.
#[derive(Debug)]
pub struct Rules {
    /// Who must have made them: `iss`.
    pub issuer: String,
    /// Whom they must be meant for: one of `aud`.
    pub audience: String,
}

/// Why a token is not good. What it says is for the log; the client learns only that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// No JWT, or one that is not made as this filter wants it.
    Malformed,
    /// The signature is not that of the key.
    Signature,
    /// Another issuer, or meant for others.
    Stranger,
    /// Over, or not valid yet.
    Time,
}

impl Bad {
    /// One word, for access logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::Stranger => "stranger",
            Self::Time => "time",
        }
    }
}

/// The first part of a token (RFC 7515 4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that one must understand: this filter understands none.
    crit: Option<serde_json::Value>,
}

/// What a token claims (RFC 7519 4.1).
#[derive(Debug, Deserialize)]
pub struct Claims {
    /// Whose it is.
    pub sub: String,
    iss: String,
    aud: Audience,
    /// Seconds since 1970, as all times here.
    exp: f64,
    nbf: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The token of `authorization: Bearer TOKEN`; the scheme is in any case (RFC 9110 11.1).
pub fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

impl Rules {
    /// The claims of a token that is good at `now`, in seconds since 1970. `is_signed` says whether a text has this
    /// RS256 signature: the token does not choose how it is looked at.
    pub fn check(
        &self,
        token: &str,
        now: f64,
        is_signed: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<Claims, Bad> {
        let (text, signature) = token.rsplit_once('.').ok_or(Bad::Malformed)?;
        let (header, payload) = text.split_once('.').ok_or(Bad::Malformed)?;
        let header: Header = part(header)?;
        if header.alg != "RS256" || header.crit.is_some() {
            return Err(Bad::Malformed);
        }
        let signature = Base64UrlUnpadded::decode_vec(signature).map_err(|_| Bad::Malformed)?;
        if !is_signed(text.as_bytes(), &signature) {
            return Err(Bad::Signature);
        }
        let claims: Claims = part(payload)?;
        let is_meant = match &claims.aud {
            Audience::One(one) => *one == self.audience,
            Audience::Several(several) => several.contains(&self.audience),
        };
        if claims.iss != self.issuer || !is_meant {
            return Err(Bad::Stranger);
        }
        if now >= claims.exp || claims.nbf.is_some_and(|begin| now < begin) {
            return Err(Bad::Time);
        }
        Ok(claims)
    }
}

/// A part of a token: JSON in base64url without padding. A key that is there twice is an error.
fn part<T: DeserializeOwned>(text: &str) -> Result<T, Bad> {
    let json = Base64UrlUnpadded::decode_vec(text).map_err(|_| Bad::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Bad::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"iss":"idp","aud":["shop","cart"],"sub":"ada","exp":100,"nbf":50}"#;

    fn check(header: &str, claims: &str, now: f64) -> Result<String, Bad> {
        let rules = Rules {
            issuer: "idp".into(),
            audience: "cart".into(),
        };
        let [header, claims] =
            [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes()));
        let token = format!("{header}.{claims}.c2ln");
        let is_signed = |text: &[u8], signature: &[u8]| {
            assert_eq!(text, format!("{header}.{claims}").as_bytes());
            signature == b"sig"
        };
        rules.check(&token, now, is_signed).map(|claims| claims.sub)
    }

    #[test]
    fn a_good_token_says_whose_it_is() {
        assert_eq!(check(r#"{"alg":"RS256"}"#, GOOD, 99.9), Ok("ada".into()));
        assert_eq!(bearer(b"bearer  a.b.c"), Some("a.b.c"));
        assert_eq!(
            (
                bearer(b"Basic YTpi"),
                bearer(b"Bearer"),
                bearer(b"Bearer \xff")
            ),
            (None, None, None)
        );
    }

    #[test]
    fn a_token_does_not_choose_how_it_is_looked_at() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"RS256","crit":["b64"]}"#,
            "{}",
        ] {
            assert_eq!(check(header, GOOD, 60.0), Err(Bad::Malformed), "{header}");
        }
        let rules = Rules {
            issuer: "idp".into(),
            audience: "cart".into(),
        };
        for token in ["", ".", "..", "a.b", "!.!.!", "e30.e30.e30="] {
            assert!(rules.check(token, 0.0, |_, _| true).is_err(), "{token}");
        }
        let signed = format!(
            "{}.e30.AAAA",
            Base64UrlUnpadded::encode_string(br#"{"alg":"RS256"}"#)
        );
        assert_eq!(
            rules.check(&signed, 0.0, |_, _| false).map(|_| ()),
            Err(Bad::Signature)
        );
    }

    #[test]
    fn others_tokens_and_old_ones_are_refused() {
        let header = r#"{"alg":"RS256"}"#;
        let one = r#"{"iss":"idp","aud":"cart","sub":"ada","exp":100}"#;
        assert_eq!(check(header, one, 0.0), Ok("ada".into()));
        assert_eq!(
            check(header, &one.replace("cart", "shop"), 0.0),
            Err(Bad::Stranger)
        );
        assert_eq!(
            check(header, &one.replace("idp", "me"), 0.0),
            Err(Bad::Stranger)
        );
        assert_eq!(
            check(header, &one.replace(r#""sub""#, r#""aud""#), 0.0),
            Err(Bad::Malformed)
        );
        for now in [49.9, 100.0, f64::INFINITY] {
            assert_eq!(check(header, GOOD, now), Err(Bad::Time), "{now}");
        }
    }
}
