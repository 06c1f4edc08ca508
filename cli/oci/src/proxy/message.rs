//! Messages of a configuration that are filters, or hold some.
//!
//! Envoy writes the type of a message before its fields; a message without it in front is passed over.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;

const HTTP: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const NETWORK: &str = "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm";
const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
/// A message as Istio wraps it in older resources.
const STRUCTS: [&str; 2] =
    ["type.googleapis.com/udpa.type.v1.TypedStruct", "type.googleapis.com/xds.type.v3.TypedStruct"];

/// A filter of a chain, or one that was fetched by itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    pub(super) name: String,
    pub(super) typed_config: Message,
    /// Its configuration is fetched by itself.
    config_discovery: Option<IgnoredAny>,
}

impl Filter {
    pub(super) fn is_fetched(&self) -> bool {
        self.config_discovery.is_some()
    }
}

/// What a message is, as far as it matters.
#[derive(Debug, Clone, Default)]
pub(super) enum Message {
    Wasm(Box<Plugin>),
    Manager(Manager),
    /// True when it lets nobody through.
    Rbac(bool),
    #[default]
    Other,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Manager {
    pub(super) stat_prefix: String,
    pub(super) http_filters: Vec<Filter>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) root_id: String,
    pub(super) vm_config: Option<Vm>,
    failure_policy: Option<String>,
    fail_open: bool,
    /// What of the filter's own configuration is shown: its mode. The rest may be secret.
    #[serde(rename = "configuration")]
    pub(super) mode: Mode,
}

impl Plugin {
    pub(super) fn policy(&self) -> &'static str {
        match self.failure_policy.as_deref() {
            Some("FAIL_OPEN") => "open",
            Some("FAIL_RELOAD") => "reload",
            Some("FAIL_CLOSED") => "closed",
            _ if self.fail_open => "open",
            _ => "closed",
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Vm {
    pub(super) code: Option<Code>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Code {
    pub(super) local: Option<Local>,
    pub(super) remote: Option<Remote>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Local {
    pub(super) filename: Option<String>,
    pub(super) inline_bytes: Option<String>,
    pub(super) inline_string: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Remote {
    pub(super) http_uri: Option<Uri>,
    pub(super) sha256: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Uri {
    pub(super) uri: String,
}

/// The `mode` of a configuration that is JSON with such a field.
#[derive(Debug, Clone, Default)]
pub(super) struct Mode(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let any = Value::deserialize(from)?;
        let inner: Value = match &any["value"] {
            Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
            other => other.clone(),
        };
        Ok(Self(inner["mode"].as_str().map(str::to_owned)))
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Typed)
    }
}

struct Typed;

impl<'de> Visitor<'de> for Typed {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message with its type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let kind = match map.next_key::<String>()? {
            Some(key) if key == "@type" => map.next_value::<String>()?,
            Some(_) => {
                map.next_value::<IgnoredAny>()?;
                String::new()
            }
            None => return Ok(Message::Other),
        };
        let mut message = match kind.as_str() {
            MANAGER => Message::Manager(Manager::default()),
            RBAC => Message::Rbac(false),
            _ => Message::Other,
        };
        let mut inner = String::new();
        while let Some(key) = map.next_key::<String>()? {
            match (&mut message, key.as_str()) {
                (Message::Manager(manager), "stat_prefix") => manager.stat_prefix = map.next_value()?,
                (Message::Manager(manager), "http_filters") => manager.http_filters = map.next_value()?,
                // Rules without a policy that would fit anybody.
                (Message::Rbac(closed), "rules") => {
                    *closed = true;
                    map.next_value::<IgnoredAny>()?;
                }
                (_, "config") if kind == HTTP || kind == NETWORK => {
                    message = Message::Wasm(map.next_value()?)
                }
                (_, "type_url") if STRUCTS.contains(&kind.as_str()) => inner = map.next_value()?,
                (_, "value") if inner == HTTP || inner == NETWORK => {
                    message = Message::Wasm(map.next_value_seed(Wrapped)?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(message)
    }
}

/// The one field of the message, where the type stands outside.
struct Wrapped;

impl<'de> DeserializeSeed<'de> for Wrapped {
    type Value = Box<Plugin>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Box<Plugin>, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Inner {
            config: Plugin,
        }
        Inner::deserialize(from).map(|inner| Box::new(inner.config))
    }
}
