//! From a configuration to a guard, with everything checked.

use super::{API_KEYS, Guard, Keys, Rule};
use crate::api_key::ApiKeys;
use crate::config::{ApiKeysConfig, Config, OverrideHeaders, Require, RuleConfig};
use crate::jwt::Issuer;
use crate::source::Source;
use tamis_matching::{ConfigError, RequestConfig, RequestMatch, StripList, header_name};

/// Rules of one filter at most; all of them may be looked at for one request.
const MAX_RULES: usize = 1024;
/// Headers that ask servers to read another method or path (docs/filters.md 4.1.37).
const OVERRIDES: [&str; 7] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-envoy-original-path",
];

impl Guard {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// When it is impossible; the error says where.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        if config.realm.bytes().any(|b| !(0x20..0x7f).contains(&b) || b == b'"' || b == b'\\') {
            return Err(ConfigError::new("has to be plain ASCII without quotes and backslashes").at("realm"));
        }
        if config.rules.len() > MAX_RULES {
            return Err(ConfigError::new(format!("has more than {MAX_RULES} rules")).at("rules"));
        }
        let (issuers, issuer_sources) = issuers(config)?;
        let api_keys = config.api_keys.as_ref().map(keys).transpose().map_err(|e| e.at("api_keys"))?;
        let mut names: Vec<&str> = issuers.iter().map(|i| i.name.as_str()).collect();
        names.extend(api_keys.iter().map(|_| API_KEYS));
        let compile = |(i, rule): (usize, &RuleConfig)| {
            Rule::new(rule, &names).map_err(|e| e.at(format!("rules[{i}]")))
        };
        let rules: Vec<Rule> = config.rules.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        let default =
            Rule { matches: vec![], require: config.default, accept: vec![], scopes: vec![], claims: vec![] };
        let demands = |rule: &Rule| matches!(rule.require, Require::Required | Require::Optional);
        if names.is_empty() && rules.iter().chain([&default]).any(demands) {
            return Err(ConfigError::new(
                "nobody could pass: give `issuers` or `api_keys`, or `default: NONE`",
            ));
        }
        Ok(Self {
            strip: strip_list(config, &issuers, api_keys.as_ref())?,
            needs_path: rules.iter().any(|rule| rule.matches.iter().any(RequestMatch::needs_path)),
            path: config.path,
            mode: config.mode,
            realm: config.realm.clone(),
            expose_reason: config.expose_reason,
            allow_preflight: config.allow_preflight,
            issuers,
            issuer_sources,
            api_keys,
            rules,
            default,
        })
    }
}

impl Rule {
    pub(super) fn new(config: &RuleConfig, names: &[&str]) -> Result<Self, ConfigError> {
        let demands = matches!(config.require, Require::Required | Require::Deny);
        let compile =
            |(i, m): (usize, &RequestConfig)| m.compile(demands).map_err(|e| e.at(format!("match[{i}]")));
        if let Some(unknown) = config.accept.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(ConfigError::new(format!(
                "`{unknown}` is neither an issuer nor `{API_KEYS}` in use"
            ))
            .at("accept"));
        }
        let conditions = !config.accept.is_empty() || !config.scopes.is_empty() || !config.claims.is_empty();
        if conditions && matches!(config.require, Require::None | Require::Deny) {
            return Err(ConfigError::new("`accept`, `scopes` and `claims` need `REQUIRED` or `OPTIONAL`")
                .at("require"));
        }
        let word = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if config.scopes.iter().any(|scope| scope.is_empty() || !scope.bytes().all(word)) {
            return Err(ConfigError::new("has a scope with blanks, quotes or other bytes (RFC 6749 3.3)")
                .at("scopes"));
        }
        Ok(Self {
            matches: config.matches.iter().enumerate().map(compile).collect::<Result<_, _>>()?,
            require: config.require,
            accept: config.accept.clone(),
            scopes: config.scopes.clone(),
            claims: config.claims.clone(),
        })
    }
}

type Issuers = (Vec<Issuer>, Vec<(Source, Vec<usize>)>);

fn issuers(config: &Config) -> Result<Issuers, ConfigError> {
    let mut issuers: Vec<Issuer> = Vec::new();
    let mut sources: Vec<(Source, Vec<usize>)> = Vec::new();
    for (i, issuer) in config.issuers.iter().enumerate() {
        let at = |e: ConfigError| e.at(format!("issuers[{i}]"));
        let compiled = Issuer::new(issuer).map_err(at)?;
        if compiled.name.is_empty()
            || compiled.name == API_KEYS
            || issuers.iter().any(|k| k.name == compiled.name)
        {
            return Err(at(ConfigError::new(format!("`{}` is empty or taken", compiled.name)).at("name")));
        }
        if issuers.iter().any(|known| known.iss() == compiled.iss()) {
            return Err(at(ConfigError::new("is the issuer of another entry").at("issuer")));
        }
        let places: Vec<Source> = if issuer.from.is_empty() {
            vec![Source::Header("authorization".into(), Some("Bearer".into()))]
        } else {
            let place = |(s, from)| Source::new(from).map_err(|e| at(e.at(format!("from[{s}]"))));
            issuer.from.iter().enumerate().map(place).collect::<Result<_, _>>()?
        };
        for place in places {
            match sources.iter_mut().find(|(known, _)| *known == place) {
                Some((_, who)) => who.push(i),
                None => sources.push((place, vec![i])),
            }
        }
        issuers.push(compiled);
    }
    Ok((issuers, sources))
}

fn keys(config: &ApiKeysConfig) -> Result<Keys, ConfigError> {
    let sources = if config.from.is_empty() {
        vec![Source::Header("x-api-key".into(), None)]
    } else {
        let place = |(s, from)| Source::new(from).map_err(|e| e.at(format!("from[{s}]")));
        config.from.iter().enumerate().map(place).collect::<Result<_, _>>()?
    };
    Ok(Keys {
        keys: ApiKeys::new(&config.keys).map_err(|e| e.at("keys"))?,
        sources,
        client_header: config
            .client_header
            .as_deref()
            .map(header_name)
            .transpose()
            .map_err(|e| e.at("client_header"))?,
        forward: config.forward,
    })
}

/// Every header that says who a client is.
fn strip_list(config: &Config, issuers: &[Issuer], keys: Option<&Keys>) -> Result<StripList, ConfigError> {
    let mut list = StripList::default();
    for (i, name) in config.strip_request_headers.iter().enumerate() {
        list.add(name).map_err(|e| e.at(format!("strip_request_headers[{i}]")))?;
    }
    let own = issuers.iter().flat_map(|issuer| &issuer.headers).map(|header| header.header.as_str());
    let client = keys.and_then(|keys| keys.client_header.as_deref());
    let overrides = if config.override_headers == OverrideHeaders::Strip { &OVERRIDES[..] } else { &[] };
    for name in own.chain(client).chain(overrides.iter().copied()) {
        list.add(name)?;
    }
    Ok(list)
}
