//! Actions, compiled: what to change on a request, or how to answer it.

use crate::config::{ActionConfig, RedirectConfig, RespondConfig, RewriteConfig, SplitConfig, SplitKey};
use tamis_matching::{ConfigError, HeaderEdits, KeyedHash, View, header_name, header_value};

/// Variants of one split at most.
const MAX_VARIANTS: usize = 64;

/// A compiled action.
#[derive(Debug, Clone, Default)]
pub struct Action {
    /// Edits of the request headers.
    pub request: HeaderEdits,
    /// Edits of the response headers.
    pub response: HeaderEdits,
    rewrite: RewriteConfig,
    split: Option<Split>,
    answer: Option<Answering>,
}

#[derive(Debug, Clone)]
enum Answering {
    Respond(RespondConfig),
    Redirect(RedirectConfig),
}

#[derive(Debug, Clone)]
struct Split {
    by: Vec<SplitKey>,
    total: u64,
    variants: Vec<Variant>,
}

/// A side of a split.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Edits of the request headers, after the action's own.
    pub request: HeaderEdits,
    weight: u64,
}

/// An answer in place of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `content-type` or `location`.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// Body.
    pub body: String,
}

impl Action {
    /// Compiles an action.
    ///
    /// # Errors
    /// When it is impossible; the error says where.
    pub fn new(config: &ActionConfig) -> Result<Self, ConfigError> {
        let rewrite = config.rewrite.clone().unwrap_or_default();
        check_rewrite(&rewrite).map_err(|e| e.at("rewrite"))?;
        let answer = match (&config.respond, &config.redirect) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::new("`respond` and `redirect` exclude each other"));
            }
            (Some(respond), None) => {
                Some(Answering::Respond(check_respond(respond).map_err(|e| e.at("respond"))?))
            }
            (None, Some(redirect)) => {
                Some(Answering::Redirect(check_redirect(redirect).map_err(|e| e.at("redirect"))?))
            }
            (None, None) => None,
        };
        let action = Self {
            request: config.request_headers.compile().map_err(|e| e.at("request_headers"))?,
            response: config.response_headers.compile().map_err(|e| e.at("response_headers"))?,
            split: config.split.as_ref().map(Split::new).transpose().map_err(|e| e.at("split"))?,
            rewrite,
            answer,
        };
        if action.answer.is_some()
            && (!action.request.is_empty() || config.rewrite.is_some() || action.split.is_some())
        {
            return Err(ConfigError::new(
                "a request that is answered goes nowhere: drop `request_headers`, `rewrite` and `split`",
            ));
        }
        Ok(action)
    }

    /// The variant that this request falls on.
    pub fn variant(&self, view: &View<'_>, seed: [u64; 2]) -> Option<&Variant> {
        self.split.as_ref().map(|split| split.choose(view, seed))
    }

    /// The answer, when this action answers.
    pub fn answer(&self, view: &View<'_>) -> Option<Answer> {
        Some(match self.answer.as_ref()? {
            Answering::Respond(respond) => Answer {
                status: respond.status,
                headers: respond
                    .content_type
                    .iter()
                    .map(|t| ("content-type", t.clone().into_bytes()))
                    .collect(),
                body: respond.body.clone(),
            },
            Answering::Redirect(redirect) => Answer {
                status: redirect.status,
                headers: vec![("location", location(redirect, view))],
                body: String::new(),
            },
        })
    }

    /// The new `:path`, when it changes.
    pub fn path(&self, view: &View<'_>) -> Option<Vec<u8>> {
        let canonical = view.path().ok()?;
        let mut path = match (&self.rewrite.path, &self.rewrite.prefix) {
            (Some(path), _) => path.clone().into_bytes(),
            (None, Some(prefix)) => {
                let rest = canonical.strip_prefix(prefix.from.trim_end_matches('/').as_bytes())?;
                if !rest.is_empty() && rest[0] != b'/' {
                    return None;
                }
                let mut path = prefix.to.trim_end_matches('/').as_bytes().to_vec();
                path.extend_from_slice(rest);
                if path.is_empty() { b"/".to_vec() } else { path }
            }
            (None, None) => return None,
        };
        with_query(&mut path, view);
        Some(path)
    }

    /// The new `:authority`, when it changes.
    pub fn authority(&self) -> Option<&str> {
        self.rewrite.authority.as_deref()
    }
}

impl Split {
    fn new(config: &SplitConfig) -> Result<Self, ConfigError> {
        if config.variants.is_empty() || config.variants.len() > MAX_VARIANTS {
            return Err(ConfigError::new(format!("needs 1 to {MAX_VARIANTS} variants")).at("variants"));
        }
        let mut by = config.by.clone();
        for (i, key) in by.iter_mut().enumerate() {
            if let SplitKey::Header(name) = key {
                *name = header_name(name).map_err(|e| e.at(format!("by[{i}].header")))?;
            }
        }
        let mut variants: Vec<Variant> = Vec::new();
        for (i, variant) in config.variants.iter().enumerate() {
            let place = format!("variants[{i}]");
            crate::router::check_name(&variant.name).map_err(|e| e.at("name").at(&place))?;
            if variants.iter().any(|known| known.name == variant.name) {
                return Err(
                    ConfigError::new(format!("`{}` is the name of two variants", variant.name)).at(place)
                );
            }
            let request =
                variant.request_headers.compile().map_err(|e| e.at("request_headers").at(&place))?;
            variants.push(Variant { name: variant.name.clone(), request, weight: variant.weight.into() });
        }
        let total = variants.iter().map(|v| v.weight).sum();
        if total == 0 {
            return Err(ConfigError::new("all weights are zero").at("variants"));
        }
        Ok(Self { by, total, variants })
    }

    fn choose(&self, view: &View<'_>, seed: [u64; 2]) -> &Variant {
        let first = |key: &SplitKey| match key {
            SplitKey::Header(name) => view.all(name.as_bytes()).next().map(<[u8]>::to_vec),
            SplitKey::Cookie(name) => view.cookie_all(name.as_bytes()).next().map(<[u8]>::to_vec),
            SplitKey::Query(name) => view.query_all(name.as_bytes()).next(),
        };
        let user = self.by.iter().filter_map(first).find(|value| !value.is_empty());
        let user = user.or_else(|| view.all(b"x-request-id").next().map(<[u8]>::to_vec));
        let mut hash = KeyedHash::new(seed);
        hash.part(&user.unwrap_or_default());
        // The hash as a fraction of the sum of weights.
        let mut position = ((u128::from(hash.finish().0) * u128::from(self.total)) >> 64) as u64;
        for variant in &self.variants {
            if position < variant.weight {
                return variant;
            }
            position -= variant.weight;
        }
        &self.variants[self.variants.len() - 1]
    }
}

fn location(redirect: &RedirectConfig, view: &View<'_>) -> Vec<u8> {
    let scheme = view.all(b":scheme").next().unwrap_or(b"https");
    let mut out = redirect.scheme.as_deref().map_or(scheme, str::as_bytes).to_vec();
    out.extend_from_slice(b"://");
    out.extend_from_slice(redirect.authority.as_deref().map_or(view.authority(), str::as_bytes));
    match &redirect.path {
        None => out.extend_from_slice(view.raw_path().unwrap_or(b"/")),
        Some(path) => {
            let mut path = path.clone().into_bytes();
            if !path.contains(&b'?') {
                with_query(&mut path, view);
            }
            out.extend_from_slice(&path);
        }
    }
    out
}

fn with_query(path: &mut Vec<u8>, view: &View<'_>) {
    if let Some(mark) =
        view.raw_path().and_then(|raw| raw.iter().position(|b| *b == b'?').map(|at| &raw[at..]))
    {
        path.extend_from_slice(mark);
    }
}

fn check_rewrite(rewrite: &RewriteConfig) -> Result<(), ConfigError> {
    if rewrite.path.is_some() && rewrite.prefix.is_some() {
        return Err(ConfigError::new("`path` and `prefix` exclude each other"));
    }
    check_path(rewrite.path.as_deref(), false).map_err(|e| e.at("path"))?;
    if let Some(prefix) = &rewrite.prefix {
        check_path(Some(&prefix.from), false).map_err(|e| e.at("prefix.from"))?;
        check_path(Some(&prefix.to), false).map_err(|e| e.at("prefix.to"))?;
    }
    check_authority(rewrite.authority.as_deref()).map_err(|e| e.at("authority"))
}

fn check_respond(respond: &RespondConfig) -> Result<RespondConfig, ConfigError> {
    if !(200..=599).contains(&respond.status) {
        return Err(ConfigError::new("has to be 200 to 599").at("status"));
    }
    respond.content_type.as_deref().map(header_value).transpose().map_err(|e| e.at("content_type"))?;
    Ok(respond.clone())
}

fn check_redirect(redirect: &RedirectConfig) -> Result<RedirectConfig, ConfigError> {
    if ![301, 302, 303, 307, 308].contains(&redirect.status) {
        return Err(ConfigError::new("has to be 301, 302, 303, 307 or 308").at("status"));
    }
    if redirect.scheme.is_none() && redirect.authority.is_none() && redirect.path.is_none() {
        return Err(ConfigError::new(
            "needs one of `scheme`, `authority`, `path`: else it leads back to itself",
        ));
    }
    if redirect.scheme.as_deref().is_some_and(|s| !matches!(s, "http" | "https")) {
        return Err(ConfigError::new("has to be `http` or `https`").at("scheme"));
    }
    check_authority(redirect.authority.as_deref()).map_err(|e| e.at("authority"))?;
    check_path(redirect.path.as_deref(), true).map_err(|e| e.at("path"))?;
    Ok(redirect.clone())
}

fn check_path(path: Option<&str>, query: bool) -> Result<(), ConfigError> {
    let Some(path) = path else { return Ok(()) };
    if !path.starts_with('/') {
        return Err(ConfigError::new("has to start with `/`"));
    }
    if path.bytes().any(|b| b <= b' ' || b >= 0x7f || b == b'#' || (b == b'?' && !query)) {
        return Err(ConfigError::new(format!(
            "`{}` is no path: escape what is not plain ASCII",
            path.escape_debug()
        )));
    }
    Ok(())
}

fn check_authority(authority: Option<&str>) -> Result<(), ConfigError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    match authority {
        Some(a) if a.is_empty() || !a.bytes().all(plain) => {
            Err(ConfigError::new("has to be `host` or `host:port`"))
        }
        _ => Ok(()),
    }
}
