//! The decision: may this request pass, as whom, and what does its upstream see.

use crate::api_key::ApiKeys;
use crate::cache::Cache;
use crate::claims;
use crate::config::{ClaimRule, Require};
use crate::jwt::{self, Issuer, Verified};
use crate::source::{Removal, Source, Trouble};
use std::rc::Rc;
use tamis_matching::{Mode, PathOptions, RequestMatch, StripList, View};

/// The name of API keys in `accept`.
const API_KEYS: &str = "api_keys";
/// A compiled configuration.
#[derive(Debug, Clone)]
pub struct Guard {
    /// How paths are read.
    pub path: PathOptions,
    /// Whether the filter acts.
    pub mode: Mode,
    realm: String,
    expose_reason: bool,
    allow_preflight: bool,
    strip: StripList,
    issuers: Vec<Issuer>,
    issuer_sources: Vec<(Source, Vec<usize>)>,
    api_keys: Option<Keys>,
    rules: Vec<Rule>,
    default: Rule,
    needs_path: bool,
}

#[derive(Debug, Clone)]
struct Keys {
    keys: ApiKeys,
    sources: Vec<Source>,
    client_header: Option<String>,
    forward: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    matches: Vec<RequestMatch>,
    require: Require,
    accept: Vec<String>,
    scopes: Vec<String>,
    claims: Vec<ClaimRule>,
}

/// What to do with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// The answer; `None` when it passes.
    pub refusal: Option<Refusal>,
    /// Names of request headers to remove, as they came.
    pub strip: Vec<Vec<u8>>,
    /// Request headers to set: who it was.
    pub set: Vec<(String, String)>,
    /// How the credential comes off the request.
    pub removal: Option<Removal>,
    /// Who it was, for logs: an issuer's or client's name.
    pub who: Option<String>,
}

/// An answer in place of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 401 or 403.
    pub status: u16,
    /// Why, for logs, metrics and `response.code_details`; without blanks where it is a metric.
    pub reason: &'static str,
    /// The kind, for metrics.
    pub kind: Kind,
    /// Values of `www-authenticate`.
    pub challenges: Vec<String>,
}

/// What kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No credential.
    Missing,
    /// A credential that is not valid.
    Invalid,
    /// A valid one that is not enough.
    Insufficient,
    /// A request that cannot be judged.
    BadRequest,
}

impl Kind {
    /// The last part of a metric's name.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Insufficient => "insufficient",
            Self::BadRequest => "bad_request",
        }
    }
}

/// A credential, where it was, and for a token the issuers that it may be from there.
type Found<'g> = (Vec<u8>, &'g Source, Option<&'g [usize]>);

/// Who a request is from.
enum Identity<'g> {
    Token(Rc<Verified>, &'g Source),
    Client(&'g crate::api_key::ApiKey, &'g Source),
}

impl Identity<'_> {
    fn has_scope(&self, scope: &str) -> bool {
        match self {
            Self::Token(verified, _) => claims::has_scope(&verified.claims, scope),
            Self::Client(key, _) => key.scopes.iter().any(|known| known == scope),
        }
    }

    /// API keys have no claims.
    fn has_claim(&self, rule: &ClaimRule) -> bool {
        match self {
            Self::Token(verified, _) => claims::is_one_of(&verified.claims, &rule.claim, &rule.values),
            Self::Client(..) => false,
        }
    }
}

impl Guard {
    /// Decides on a request; `now` in seconds since 1970. What clients may not send is invisible to rules.
    pub fn decide(&self, mut view: View<'_>, now: f64, cache: &mut Cache) -> Decision {
        if self.mode == Mode::Disabled {
            return Decision::default();
        }
        let strip = view.strip(&self.strip);
        match self.judge(&view, now, cache) {
            Ok(decision) => Decision { strip, ..decision },
            Err(refusal) => Decision { refusal: Some(refusal), strip, ..Decision::default() },
        }
    }

    fn judge(&self, view: &View<'_>, now: f64, cache: &mut Cache) -> Result<Decision, Refusal> {
        if let Err(trouble) = view.path()
            && self.needs_path
        {
            return Err(Refusal {
                status: 400,
                reason: trouble.text(),
                kind: Kind::BadRequest,
                challenges: vec![],
            });
        }
        if self.allow_preflight && is_preflight(view) {
            return Ok(Decision::default());
        }
        let rule = self.rules.iter().find(|rule| rule.fits(view)).unwrap_or(&self.default);
        match rule.require {
            Require::None => return Ok(Decision::default()),
            Require::Deny => return Err(self.refuse(Kind::Insufficient, "denied by rule", None)),
            Require::Required | Require::Optional => {}
        }
        let Some(identity) = self.identify(view, now, cache)? else {
            return match rule.require {
                Require::Optional => Ok(Decision::default()),
                _ => Err(self.refuse(Kind::Missing, "no credential", None)),
            };
        };
        self.authorise(rule, &identity)?;
        Ok(self.pass(&identity, view))
    }

    /// The one credential of a request, verified.
    fn identify(
        &self,
        view: &View<'_>,
        now: f64,
        cache: &mut Cache,
    ) -> Result<Option<Identity<'_>>, Refusal> {
        let malformed = |trouble| match trouble {
            Trouble::Repeated => self.refuse(Kind::BadRequest, "more than one credential", None),
            Trouble::Malformed => self.refuse(Kind::BadRequest, "credential malformed", None),
        };
        let mut found: Option<Found<'_>> = None;
        let tokens = self.issuer_sources.iter().map(|(source, issuers)| (source, Some(issuers.as_slice())));
        let keys = self.api_keys.iter().flat_map(|keys| &keys.sources).map(|source| (source, None));
        for (source, issuers) in tokens.chain(keys) {
            let Some(value) = source.read(view).map_err(malformed)? else { continue };
            if found.is_some() {
                return Err(malformed(Trouble::Repeated));
            }
            found = Some((value, source, issuers));
        }
        match (found, &self.api_keys) {
            (None, _) => Ok(None),
            (Some((token, source, Some(allowed))), _) => {
                let verified = cache.get_or(&token, || jwt::verify(&token, &self.issuers, now));
                let verified = verified.and_then(|verified| {
                    // A token from the cache was in time once.
                    self.issuers[verified.issuer].in_time(&verified.claims, now)?;
                    if allowed.contains(&verified.issuer) { Ok(verified) } else { Err(jwt::Bad::Issuer) }
                });
                match verified {
                    Ok(verified) => Ok(Some(Identity::Token(verified, source))),
                    Err(bad) => Err(self.refuse(Kind::Invalid, bad.text(), None)),
                }
            }
            (Some((key, source, None)), Some(keys)) => match keys.keys.find(&key, now) {
                Some(key) => Ok(Some(Identity::Client(key, source))),
                None => Err(self.refuse(Kind::Invalid, "API key not accepted", None)),
            },
            (Some((_, _, None)), None) => Ok(None),
        }
    }

    fn authorise(&self, rule: &Rule, identity: &Identity<'_>) -> Result<(), Refusal> {
        let name = match identity {
            Identity::Token(verified, _) => self.issuers[verified.issuer].name.as_str(),
            Identity::Client(..) => API_KEYS,
        };
        if !rule.accept.is_empty() && !rule.accept.iter().any(|accepted| accepted == name) {
            return Err(self.refuse(Kind::Insufficient, "kind of credential not accepted", None));
        }
        if !rule.scopes.iter().all(|scope| identity.has_scope(scope)) {
            return Err(self.refuse(Kind::Insufficient, "scope missing", Some(&rule.scopes)));
        }
        if !rule.claims.iter().all(|claim| identity.has_claim(claim)) {
            return Err(self.refuse(Kind::Insufficient, "claim missing", None));
        }
        Ok(())
    }

    fn pass(&self, identity: &Identity<'_>, view: &View<'_>) -> Decision {
        let (set, source, forward, who) = match identity {
            Identity::Token(verified, source) => {
                let issuer = &self.issuers[verified.issuer];
                let header = |config: &crate::config::ClaimHeader| {
                    let value = claims::header_value(claims::find(&verified.claims, &config.claim)?)?;
                    Some((config.header.clone(), value))
                };
                (issuer.headers.iter().filter_map(header).collect(), source, issuer.forward, &issuer.name)
            }
            Identity::Client(key, source) => {
                let keys = self.api_keys.as_ref();
                let header = keys.and_then(|keys| keys.client_header.clone());
                let set = header.into_iter().map(|name| (name, key.client.clone())).collect();
                (set, source, keys.is_some_and(|keys| keys.forward), &key.client)
            }
        };
        let removal = (!forward).then(|| source.removal(view));
        Decision { set, removal, who: Some(who.clone()), ..Decision::default() }
    }

    /// An answer with the challenges that RFC 9110 11.6.1 and RFC 6750 3 ask for.
    fn refuse(&self, kind: Kind, reason: &'static str, scopes: Option<&[String]>) -> Refusal {
        let (status, error) = match kind {
            Kind::Missing => (401, None),
            Kind::Invalid => (401, Some("invalid_token")),
            Kind::Insufficient => (403, scopes.map(|_| "insufficient_scope")),
            Kind::BadRequest => (400, Some("invalid_request")),
        };
        let mut bearer = format!("Bearer realm=\"{}\"", self.realm);
        if let Some(error) = error {
            bearer.push_str(&format!(", error=\"{error}\""));
            if self.expose_reason {
                bearer.push_str(&format!(", error_description=\"{reason}\""));
            }
        }
        if let Some(scopes) = scopes {
            bearer.push_str(&format!(", scope=\"{}\"", scopes.join(" ")));
        }
        let mut challenges = Vec::new();
        if !self.issuers.is_empty() && (status != 403 || scopes.is_some()) {
            challenges.push(bearer);
        }
        if self.api_keys.is_some() && status == 401 {
            challenges.push(format!("ApiKey realm=\"{}\"", self.realm));
        }
        Refusal { status, reason, kind, challenges }
    }
}

impl Rule {
    fn fits(&self, view: &View<'_>) -> bool {
        self.matches.is_empty() || self.matches.iter().any(|m| m.matches(view))
    }
}

fn is_preflight(view: &View<'_>) -> bool {
    let there = |name: &[u8]| view.all(name).next().is_some();
    view.method() == b"OPTIONS" && there(b"origin") && there(b"access-control-request-method")
}

mod build;
#[cfg(test)]
mod tests;
