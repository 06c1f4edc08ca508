//! `/config_dump`: of a configuration of any size only the Wasm filters are kept, and what stands around them.

use super::message::{Filter, Message};
use super::source::hex;
use crate::deploy::METADATA;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;
use std::io::{self, Read};

/// The listeners and filters of a proxy.
#[derive(Debug, Clone, Default)]
pub struct Dump {
    pub(super) listeners: Vec<Listener>,
    /// Filters that were fetched by themselves.
    pub(super) resources: Vec<Filter>,
    /// Configurations that the proxy refused: of what, and why.
    pub(super) refused: Vec<(String, String)>,
}

impl Dump {
    /// Adds what one answer says.
    ///
    /// # Errors
    /// When it is no such answer, or the reader fails.
    pub fn read(&mut self, answer: impl Read) -> io::Result<()> {
        let all: All = serde_json::from_reader(answer)?;
        for entry in all.configs {
            if let Some(error) = entry.error_state {
                let whose = entry.name.clone().or_else(|| entry.ecds_filter.as_ref().map(|f| f.name.clone()));
                let error = (whose.unwrap_or_default(), error.details);
                if !self.refused.iter().any(|(_, details)| *details == error.1) {
                    self.refused.push(error);
                }
            }
            let active = entry.active_state.or(entry.warming_state).and_then(|state| state.listener);
            self.listeners.extend(entry.listener.or(active));
            self.resources.extend(entry.ecds_filter);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct All {
    #[serde(default)]
    configs: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    name: Option<String>,
    listener: Option<Listener>,
    active_state: Option<Held>,
    warming_state: Option<Held>,
    error_state: Option<Refused>,
    ecds_filter: Option<Filter>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Held {
    listener: Option<Listener>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    details: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listener {
    pub(super) name: String,
    filter_chains: Vec<Chain>,
    default_filter_chain: Option<Chain>,
    metadata: Option<Metadata>,
}

impl Listener {
    /// The filters of all its chains, those within a connection manager too, with the manager's prefix of statistics.
    pub(super) fn filters(&self) -> impl Iterator<Item = (&Filter, Option<&str>)> {
        self.filter_chains.iter().chain(&self.default_filter_chain).flat_map(|chain| &chain.filters).flat_map(
            |filter| {
                let (inner, prefix): (&[Filter], _) = match &filter.typed_config {
                    Message::Manager(manager) => (&manager.http_filters, Some(manager.stat_prefix.as_str())),
                    _ => (&[], None),
                };
                std::iter::once((filter, None)).chain(inner.iter().map(move |f| (f, prefix)))
            },
        )
    }

    /// What a bootstrap of ours says was deployed.
    pub(super) fn deployed(&self) -> Option<&Value> {
        self.metadata.as_ref()?.filter_metadata.deployed.as_ref()
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    filter_metadata: Ours,
}

/// Other people's metadata is passed over.
#[derive(Debug, Clone, Default)]
struct Ours {
    deployed: Option<Value>,
}

impl<'de> Deserialize<'de> for Ours {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Ours;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metadata")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ours, A::Error> {
                let mut ours = Ours::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == METADATA {
                        ours.deployed = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(ours)
            }
        }
        from.deserialize_map(Fields)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Chain {
    filters: Vec<Filter>,
}

/// The digests that a bootstrap of ours names: of the image and of the module.
pub(super) fn deployed(value: &Value) -> (Option<crate::Digest>, Option<crate::Digest>) {
    let digest = |text: &Value| hex(text.as_str()?.rsplit_once("sha256:")?.1);
    (digest(&value["image"]), digest(&value["wasm"]))
}
