//! One picture of what the configuration says and what was counted.

use super::dump;
use super::message::{Message, Plugin};
use super::source::{self, Claim, Of, Source};
use super::stats::{Stats, plain};
use super::{Dump, Said};

/// How the resources are called that Istio makes of its own plugins.
const ISTIO: &str = "extensions.istio.io/";

/// A filter of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Its name in the chain.
    pub name: String,
    /// The name under which Envoy counts for it.
    pub plugin: String,
    /// Envoy's `root_id`.
    pub root_id: String,
    /// Where its code comes from.
    pub source: Source,
    /// The digests that are told.
    pub claims: Vec<Claim>,
    /// What happens when it breaks: `closed`, `open` or `reload`; none when the proxy does not say.
    pub policy: Option<&'static str>,
    /// The `mode` of its configuration, if it has one.
    pub mode: Option<String>,
    /// The listeners that have it.
    pub places: Vec<Place>,
    /// Whether it is there.
    pub state: State,
    /// How often it was started again after it broke.
    pub reloads: Reloads,
}

/// A listener with a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub listener: String,
    /// Requests that came to the connection manager, and those among them that got a status of 500 or more, whoever
    /// made it; none when the proxy does not count them.
    pub requests: Option<(u64, u64)>,
}

/// Whether a filter is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its code runs.
    Loaded,
    /// It does not, and why.
    NotLoaded(String),
    /// The proxy does not say enough.
    Unsure(String),
}

/// Fates of VMs under the policy `reload`; Envoy counts none of them under the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// A new VM was started for one that broke.
    pub success: u64,
    /// Starting one failed.
    pub failure: u64,
    /// Requests that were refused since it had only just been started.
    pub backoff: u64,
}

impl Filter {
    /// Whether this is the filter that somebody calls so: by the name in the chain, the plugin's, or the resource's in
    /// Istio, `NAMESPACE.NAME` or its last part.
    pub fn is(&self, name: &str) -> bool {
        let resource = self.name.rsplit('/').next().unwrap_or_default();
        let resource = resource.split('~').next().unwrap_or_default();
        let last = resource.split_once('.').map_or(resource, |(_, last)| last);
        [self.name.as_str(), self.plugin.as_str(), resource, last].contains(&name)
            || self.policy.is_none() && self.plugin.ends_with(&format!("_{}", plain(name)))
            || self.policy.is_none() && self.plugin == plain(name)
    }
}

impl Said {
    /// The Wasm filters of the proxy. A filter that was replaced by another one counts when Istio named it, or when it
    /// is asked for.
    pub fn filters(&self, asked: &[String]) -> Vec<Filter> {
        match &self.dump {
            Some(dump) => configured(dump, &self.stats, asked),
            None => self.stats.plugins().map(|plugin| counted(plugin, &self.stats)).collect(),
        }
    }

    /// What is wrong with the proxy, whichever filter it concerns.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if let Some(server) = self.server.as_ref().filter(|s| s.state != "LIVE") {
            troubles.push(format!("the proxy is {}, not LIVE", server.state));
        }
        for (whose, why) in self.dump.iter().flat_map(|d| &d.refused) {
            let whose = if whose.is_empty() { String::new() } else { format!(" `{whose}`") };
            troubles.push(format!("the proxy refused a configuration{whose}: {why}"));
        }
        let failures = self.stats.get("wasm.remote_load_fetch_failures").unwrap_or(0);
        if failures > 0 {
            troubles.push(format!("fetching a module failed {failures} times"));
        }
        troubles
    }
}

fn configured(dump: &Dump, stats: &Stats, asked: &[String]) -> Vec<Filter> {
    let mut all: Vec<Filter> = Vec::new();
    let mut add = |filter: Filter| {
        let same = |old: &&mut Filter| Filter { places: Vec::new(), ..(**old).clone() } == bare(&filter);
        match all.iter_mut().find(same) {
            Some(old) => old.places.extend(filter.places),
            None => all.push(filter),
        }
    };
    for listener in &dump.listeners {
        for (filter, prefix) in listener.filters() {
            let place = Place { listener: listener.name.clone(), requests: requests(prefix, stats) };
            if let Message::Wasm(plugin) = &filter.typed_config {
                let mut one = of(&filter.name, plugin, stats, false);
                if let Some(deployed) = listener.deployed().filter(|d| d["filter"] == one.plugin.as_str()) {
                    let (image, module) = dump::deployed(deployed);
                    let by = "the metadata of its listener";
                    one.claims.extend(image.map(|digest| Claim { of: Of::Image, digest, by }));
                    one.claims.extend(module.map(|digest| Claim { of: Of::Module, digest, by }));
                }
                one.places.push(place);
                add(one);
                continue;
            }
            let resource = dump.resources.iter().find(|r| filter.is_fetched() && r.name == filter.name);
            let mut one = match resource.map(|r| &r.typed_config) {
                Some(Message::Wasm(plugin)) => of(&filter.name, plugin, stats, true),
                other => {
                    let mut one = nothing(&filter.name);
                    if !filter.is_fetched()
                        || !(filter.name.starts_with(ISTIO) || asked.iter().any(|name| one.is(name)))
                    {
                        continue;
                    }
                    let why = match other {
                        Some(Message::Rbac(closed)) => format!(
                            "a filter that {} stands in its place: Istio's agent does so when it cannot fetch a module",
                            if *closed { "lets nobody through" } else { "lets everybody through" }
                        ),
                        Some(_) => "another filter stands in its place".to_owned(),
                        None => "its configuration has not arrived".to_owned(),
                    };
                    one.state = State::NotLoaded(why);
                    one
                }
            };
            one.places.push(place);
            add(one);
        }
    }
    all
}

fn bare(filter: &Filter) -> Filter {
    Filter { places: Vec::new(), ..filter.clone() }
}

fn nothing(name: &str) -> Filter {
    Filter {
        name: name.to_owned(),
        plugin: String::new(),
        root_id: String::new(),
        source: Source::Other,
        claims: Vec::new(),
        policy: None,
        mode: None,
        places: Vec::new(),
        state: State::Loaded,
        reloads: Reloads::default(),
    }
}

/// A filter of which only the statistics are known.
fn counted(plugin: &str, stats: &Stats) -> Filter {
    Filter { plugin: plugin.to_owned(), reloads: reloads(plugin, stats), ..nothing(plugin) }
}

fn of(name: &str, plugin: &Plugin, stats: &Stats, fetched: bool) -> Filter {
    let (source, claims) = source::of(plugin);
    let state = state(name, plugin, &source, stats, fetched);
    Filter {
        name: name.to_owned(),
        plugin: plugin.name.clone(),
        root_id: plugin.root_id.clone(),
        claims,
        policy: Some(plugin.policy()),
        mode: plugin.mode.0.clone(),
        places: Vec::new(),
        state,
        reloads: reloads(&plugin.name, stats),
        source,
    }
}

fn requests(prefix: Option<&str>, stats: &Stats) -> Option<(u64, u64)> {
    let get = |what: &str| stats.get(&format!("http.{}.downstream_rq_{what}", prefix?));
    Some((get("total")?, get("5xx")?))
}

fn reloads(plugin: &str, stats: &Stats) -> Reloads {
    let get = |what: &str| stats.get(&format!("wasm.{plugin}.vm_reload_{what}")).unwrap_or(0);
    Reloads { success: get("success"), failure: get("failure"), backoff: get("backoff") }
}

fn state(name: &str, plugin: &Plugin, source: &Source, stats: &Stats, fetched: bool) -> State {
    if fetched {
        let count = |what: &str| {
            let of =
                |kind: &str| stats.get(&format!("extension_config_discovery.{kind}_filter.{name}.{what}"));
            of("http").or_else(|| of("network")).unwrap_or(0)
        };
        match (count("update_rejected"), count("update_success")) {
            (0, _) => {}
            (n, 0) => return State::NotLoaded(format!("the proxy refused its configuration {n} times")),
            (n, _) => {
                let text =
                    format!("the proxy refused {n} of its configurations, perhaps the one that is shown");
                return State::Unsure(text);
            }
        }
    }
    if matches!(source, Source::Remote(_)) {
        let get = |what: &str| stats.get(&format!("wasm.remote_load_fetch_{what}")).unwrap_or(0);
        match (get("failures"), get("successes")) {
            (0, _) => {}
            (n, 0) => return State::NotLoaded(format!("fetching its module failed {n} times")),
            (n, _) => return State::Unsure(format!("fetching a module failed {n} times, perhaps this one")),
        }
    }
    // Envoy makes these counters with the plugin.
    if stats.get(&format!("wasm.{}.vm_reload_success", plugin.name)).is_some() {
        return State::Loaded;
    }
    if stats.plugins().next().is_some() {
        return State::NotLoaded("the proxy counts nothing for it".to_owned());
    }
    // Older proxies have none of these counters.
    match stats.get("wasm.envoy.wasm.runtime.v8.active") {
        Some(0) => State::NotLoaded("no VM is alive".to_owned()),
        Some(_) => State::Loaded,
        None => State::Unsure("the proxy shows no statistics of Wasm".to_owned()),
    }
}
