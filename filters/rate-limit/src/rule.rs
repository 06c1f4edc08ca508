//! Rules, compiled: does one apply, under which key, at what cost.

use crate::config::{Config, CostConfig, KeyPart, OnContention, OnMissingKey, Prefixes, RuleConfig};
use crate::gcra::Gcra;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tamis_matching::{ConfigError, KeyedHash, Mode, RequestMatch, View, header_name};

/// Rules of one filter at most; each costs a host call or two per request.
const MAX_RULES: usize = 64;
/// Longest `per`, ns: a day. Longer quotas need a store that survives a restart.
const MAX_PER: u128 = 86_400_000_000_000;

/// A compiled rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name of the policy.
    pub name: String,
    /// The limit.
    pub limit: Gcra,
    /// Requests of the quota, as written.
    pub requests: u64,
    /// Its time, seconds; `None` when that is no whole number.
    pub per: Option<u64>,
    /// Whether it acts.
    pub mode: Mode,
    /// What a request without a key gets.
    pub on_missing_key: OnMissingKey,
    /// What a request gets whose state cannot be written.
    pub on_contention: OnContention,
    matches: Vec<RequestMatch>,
    key: Vec<KeyPart>,
    cost: CostConfig,
}

/// Compiles all rules.
///
/// # Errors
/// When one is impossible; the error says where.
pub fn compile(config: &Config) -> Result<Vec<Rule>, ConfigError> {
    if config.rules.is_empty() || config.rules.len() > MAX_RULES {
        return Err(ConfigError::new(format!("needs 1 to {MAX_RULES} rules")).at("rules"));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (i, rule) in config.rules.iter().enumerate() {
        let rule = Rule::compile(rule).map_err(|e| e.at(format!("rules[{i}]")))?;
        if rules.iter().any(|known| known.name == rule.name) {
            return Err(ConfigError::new(format!("`{}` is the name of two rules", rule.name))
                .at(format!("rules[{i}].name")));
        }
        rules.push(rule);
    }
    if !(16..=1 << 20).contains(&config.store.slots) {
        return Err(ConfigError::new("has to be 16 to 1048576").at("store.slots"));
    }
    if !(400..=599).contains(&config.response.status) {
        return Err(ConfigError::new("has to be 400 to 599").at("response.status"));
    }
    Ok(rules)
}

impl Rule {
    fn compile(config: &RuleConfig) -> Result<Self, ConfigError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if config.name.is_empty() || !config.name.bytes().all(plain) {
            return Err(ConfigError::new("has to be letters, digits, `-`, `_` or `.`").at("name"));
        }
        let compile = |(i, m): (usize, &tamis_matching::RequestConfig)| {
            m.compile(false).map_err(|e| e.at(format!("match[{i}]")))
        };
        let matches = config.matches.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        let key = config.key.iter().enumerate();
        let key = key
            .map(|(i, part)| part.checked().map_err(|e| e.at(format!("key[{i}]"))))
            .collect::<Result<_, _>>()?;
        let nanos = config.limit.per.0.as_nanos();
        if nanos == 0 || nanos > MAX_PER {
            return Err(ConfigError::new("has to be above zero and at most a day").at("limit.per"));
        }
        let burst = config.limit.burst.unwrap_or(config.limit.requests);
        let limit = Gcra::new(config.limit.requests, nanos as u64, burst)
            .ok_or_else(|| ConfigError::new("cannot be kept: give at least one request, a burst of at least one, and less than one request a nanosecond").at("limit"))?;
        let highest = match &config.cost {
            CostConfig::Fixed(cost) => *cost,
            CostConfig::Header(header) => header.max,
        };
        if highest == 0 || highest > burst {
            return Err(ConfigError::new(format!(
                "has to be 1 to {burst}, the burst: a higher cost would never pass"
            ))
            .at("cost"));
        }
        let mut cost = config.cost.clone();
        if let CostConfig::Header(header) = &mut cost {
            header.name = header_name(&header.name).map_err(|e| e.at("cost.header.name"))?;
        }
        Ok(Self {
            name: config.name.clone(),
            limit,
            requests: config.limit.requests,
            per: nanos.is_multiple_of(1_000_000_000).then_some((nanos / 1_000_000_000) as u64),
            mode: config.mode,
            on_missing_key: config.on_missing_key,
            on_contention: config.on_contention,
            matches,
            key,
            cost,
        })
    }

    /// True when the key has the client's address in it.
    pub fn needs_source(&self) -> bool {
        self.key.iter().any(|part| matches!(part, KeyPart::SourceAddress(_)))
    }

    /// True when the rule is for this request.
    pub fn applies(&self, view: &View<'_>) -> bool {
        self.mode != Mode::Disabled
            && (self.matches.is_empty() || self.matches.iter().any(|m| m.matches(view)))
    }

    /// Feeds the key of this request into a hash, after the rule's name; false when a part is missing, and
    /// then nothing but the rule's name is in the hash.
    pub fn key(&self, view: &View<'_>, hash: &mut KeyedHash) -> bool {
        hash.part(self.name.as_bytes());
        let bare = hash.clone();
        for part in &self.key {
            let Some(bytes) = part.read(view) else {
                *hash = bare;
                return false;
            };
            hash.part(&bytes);
        }
        // Tells a complete key from the shared one of requests without.
        hash.part(b"key");
        true
    }

    /// What this request costs, at least 1 (docs/filters.md 4.2.12 and 13).
    pub fn cost(&self, view: &View<'_>) -> u64 {
        match &self.cost {
            CostConfig::Fixed(cost) => *cost,
            CostConfig::Header(header) => {
                let text = view.one(header.name.as_bytes()).ok().flatten();
                let digits = text.filter(|t| !t.is_empty() && t.iter().all(u8::is_ascii_digit));
                // Too many digits for 64 bits: more than any maximum.
                digits
                    .map_or(1, |d| str::from_utf8(d).ok().and_then(|d| d.parse().ok()).unwrap_or(u64::MAX))
                    .clamp(1, header.max)
            }
        }
    }
}

impl KeyPart {
    fn checked(&self) -> Result<Self, ConfigError> {
        match self {
            Self::Header(name) => Ok(Self::Header(header_name(name).map_err(|e| e.at("header"))?)),
            Self::Query(name) | Self::Cookie(name) if name.is_empty() => {
                Err(ConfigError::new("the name is empty"))
            }
            Self::SourceAddress(prefixes) if prefixes.v4_prefix > 32 || prefixes.v6_prefix > 128 => {
                Err(ConfigError::new("an IPv4 prefix is 0 to 32 bits, an IPv6 prefix 0 to 128")
                    .at("source_address"))
            }
            part => Ok(part.clone()),
        }
    }

    /// The bytes of this part; `None` when missing, empty or there twice.
    fn read(&self, view: &View<'_>) -> Option<Vec<u8>> {
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
        match self {
            Self::Header(name) => some(view.one(name.as_bytes()).ok()??),
            Self::Query(name) => {
                let mut values = view.query_all(name.as_bytes());
                values.next().filter(|value| !value.is_empty() && values.next().is_none())
            }
            Self::Cookie(name) => {
                let mut values = view.cookie_all(name.as_bytes());
                values.next().filter(|_| values.next().is_none()).and_then(some)
            }
            Self::SourceAddress(prefixes) => Some(network(view.source()?, *prefixes)?.to_vec()),
            Self::Path => some(view.path().ok()?),
            Self::Method => some(view.method()),
            Self::Authority => some(&view.authority().to_ascii_lowercase()),
            Self::Constant(text) => Some(text.clone().into_bytes()),
        }
    }
}

/// The network of an address as Envoy writes it: with or without port, IPv6 in brackets or not, with or
/// without zone; IPv4 inside IPv6 is IPv4 (docs/filters.md 4.2.2 and 3).
fn network(address: &[u8], prefixes: Prefixes) -> Option<[u8; 17]> {
    let text = str::from_utf8(address).ok()?.trim();
    let ip = text.parse::<SocketAddr>().map(|a| a.ip()).or_else(|_| {
        let bare = text.strip_prefix('[').and_then(|t| t.split_once(']')).map_or(text, |(inside, _)| inside);
        bare.split('%').next().unwrap_or_default().parse::<IpAddr>()
    });
    let mut out = [0; 17];
    match ip.ok()?.to_canonical() {
        IpAddr::V4(v4) => {
            let kept = u32::from(v4) & u32::MAX.checked_shl(32 - u32::from(prefixes.v4_prefix)).unwrap_or(0);
            out[0] = 4;
            out[1..5].copy_from_slice(&Ipv4Addr::from(kept).octets());
        }
        IpAddr::V6(v6) => {
            let kept =
                u128::from(v6) & u128::MAX.checked_shl(128 - u32::from(prefixes.v6_prefix)).unwrap_or(0);
            out[0] = 6;
            out[1..].copy_from_slice(&Ipv6Addr::from(kept).octets());
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_matching::PathOptions;

    fn rule(json: &str) -> Rule {
        Rule::compile(&serde_json::from_str(json).unwrap()).unwrap()
    }

    fn key(rule: &Rule, fields: &[(&str, &str)], source: Option<&str>) -> (bool, (u64, u64)) {
        let fields = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let view = View::new(fields, source.map(str::as_bytes), PathOptions::default());
        let mut hash = KeyedHash::new([7, 7]);
        (rule.key(&view, &mut hash), hash.finish())
    }

    #[test]
    fn rows_4_2_2_and_3_one_client_has_one_address() {
        let rule = rule(r#"{"name":"a","key":[{"source_address":{}}],"limit":{"requests":1,"per":"1s"}}"#);
        let of = |source| key(&rule, &[], Some(source));
        assert!(of("10.0.0.1:80").0);
        for same in ["10.0.0.1:9999", "10.0.0.1", "[::ffff:10.0.0.1]:80", "::FFFF:a00:1", " 10.0.0.1:1 "] {
            assert_eq!(of(same), of("10.0.0.1:80"), "{same}");
        }
        for same in ["[2001:DB8:0:0:1::7]:1", "2001:db8::9", "[2001:db8::1%eth0]:80", "[2001:db8::1]"] {
            assert_eq!(of(same), of("[2001:db8::1]:80"), "{same}");
        }
        assert_ne!(of("[2001:db8:0:1::1]:80"), of("[2001:db8::1]:80"));
        assert_ne!(of("10.0.0.2:80"), of("10.0.0.1:80"));
        assert!(!of("unix:/x").0);
    }

    #[test]
    fn prefixes_cut() {
        let rule = rule(
            r#"{"name":"a","key":[{"source_address":{"v4_prefix":24,"v6_prefix":0}}],"limit":{"requests":1,"per":"1s"}}"#,
        );
        let of = |source| key(&rule, &[], Some(source)).1;
        assert_eq!(of("10.0.0.1:80"), of("10.0.0.200:80"));
        assert_ne!(of("10.0.0.1:80"), of("10.0.1.1:80"));
        assert_eq!(of("[::5]:1"), of("[2001::]:1"));
    }

    #[test]
    fn rows_4_2_4_and_5_a_key_is_its_exact_bytes_or_missing() {
        let rule =
            rule(r#"{"name":"a","key":[{"header":"X-User"},"method"],"limit":{"requests":1,"per":"1s"}}"#);
        let of = |user: &str| key(&rule, &[(":method", "GET"), ("x-user", user)], None);
        assert_eq!(of("ann"), of("  ann "));
        assert_ne!(of("ann"), of("Ann"));
        assert_ne!(of("ann"), of("%61nn"));
        let missing = key(&rule, &[(":method", "GET")], None);
        assert!(!missing.0);
        assert_eq!(of(""), missing);
        assert_eq!(key(&rule, &[(":method", "GET"), ("x-user", "a"), ("x-user", "b")], None), missing);
    }

    #[test]
    fn row_4_2_18_path_variants_are_one_key() {
        let rule = rule(r#"{"name":"a","key":["path"],"limit":{"requests":1,"per":"1s"}}"#);
        let of = |path| key(&rule, &[(":path", path)], None);
        for same in ["//a", "/a?x", "/%61", "/b/../a"] {
            assert_eq!(of(same), of("/a"), "{same}");
        }
        assert!(!of("/a%2f").0);
    }

    #[test]
    fn rows_4_2_12_and_13_costs_are_clamped() {
        let rule = rule(
            r#"{"name":"a","cost":{"header":{"name":"x-cost","max":10}},"limit":{"requests":10,"per":"1s"}}"#,
        );
        let cost = |values: &[&str]| {
            let fields = values.iter().map(|v| (&b"x-cost"[..], v.as_bytes()));
            rule.cost(&View::new(fields, None, PathOptions::default()))
        };
        for (values, due) in [
            (&["3"][..], 3),
            (&[], 1),
            (&["0"], 1),
            (&["-5"], 1),
            (&["2.5"], 1),
            (&["+4"], 1),
            (&["99999999999999999999999"], 10),
            (&["11"], 10),
            (&["2", "3"], 1),
            (&[""], 1),
        ] {
            assert_eq!(cost(values), due, "{values:?}");
        }
    }

    #[test]
    fn impossible_rules_are_errors_with_a_place() {
        let error = |json: &str| {
            let config: Config = serde_json::from_str(json).unwrap();
            compile(&config).unwrap_err().to_string()
        };
        let with = |rule: &str| error(&format!(r#"{{"rules":[{rule}]}}"#));
        assert_eq!(error(r#"{"rules":[]}"#), "rules: needs 1 to 64 rules");
        assert_eq!(
            with(r#"{"name":"a b","limit":{"requests":1,"per":"1s"}}"#),
            "rules[0].name: has to be letters, digits, `-`, `_` or `.`"
        );
        assert!(
            with(r#"{"name":"a","limit":{"requests":0,"per":"1s"}}"#)
                .starts_with("rules[0].limit: cannot be kept")
        );
        assert!(
            with(r#"{"name":"a","limit":{"requests":1,"per":"2d"}}"#).starts_with("rules[0].limit.per: ")
        );
        assert_eq!(
            with(r#"{"name":"a","limit":{"requests":5,"per":"1s"},"cost":{"fixed":6}}"#),
            "rules[0].cost: has to be 1 to 5, the burst: a higher cost would never pass"
        );
        assert!(
            with(r#"{"name":"a","key":[{"header":"a b"}],"limit":{"requests":5,"per":"1s"}}"#)
                .starts_with("rules[0].key[0].header: ")
        );
        let rule = r#"{"name":"a","limit":{"requests":1,"per":"1s"}}"#;
        assert_eq!(with(&format!("{rule},{rule}")), "rules[1].name: `a` is the name of two rules");
    }
}
