//! Filter state of one stream: what `proxy_set_property` and `set_envoy_filter_state` store, and the types that
//! `declare_property` gave (docs/envoy.md 2.9, 2.10).

use super::value::{FLAT_BUFFER, Value};
use crate::profile::Profile;
use std::borrow::Cow;
use std::net::SocketAddr;
use tamis_abi::Status;

/// How the value of a declared property is read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// Bytes; also what nobody declared.
    #[default]
    Bytes,
    /// Text.
    Text,
    /// A message with this type URL.
    Proto(String),
    /// A flat buffer.
    FlatBuffer,
}

impl Type {
    /// Bytes of its own.
    pub(crate) fn len(&self) -> usize {
        if let Self::Proto(url) = self { url.len() } else { 0 }
    }
}

/// What `declare_property` said of a key.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) key: Vec<u8>,
    pub(crate) ty: Type,
    /// It can be set once.
    pub(crate) read_only: bool,
}

/// The host and port of an address in filter state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    ip: String,
    port: u16,
}

impl Address {
    pub(super) fn ip(&self) -> &str {
        &self.ip
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// What is stored under a key.
#[derive(Debug)]
enum Stored {
    /// By a filter, as it declared it.
    Own(Vec<u8>, Type),
    /// An object of Envoy's, as text.
    Text(String),
    /// An object of Envoy's that cannot be read back.
    Hidden,
    Address(Address),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FilterState {
    /// Keys of filters are without their `wasm.`.
    own: Vec<(Vec<u8>, Stored)>,
    envoy: Vec<(&'static str, Stored)>,
    /// Keys that stream contexts declared, by filter; they are kept and change nothing.
    declared: Vec<(usize, Vec<u8>)>,
}

impl FilterState {
    pub(crate) fn clear(&mut self) {
        self.own.clear();
        self.envoy.clear();
        self.declared.clear();
    }

    /// Bytes of keys and values that filters stored.
    pub(crate) fn len(&self) -> usize {
        let size = |stored: &Stored| match stored {
            Stored::Own(bytes, _) => bytes.len(),
            Stored::Text(text) => text.len(),
            Stored::Hidden | Stored::Address(_) => 0,
        };
        let own: usize = self.own.iter().map(|(key, stored)| key.len() + size(stored)).sum();
        own + self.envoy.iter().map(|(_, stored)| size(stored)).sum::<usize>()
    }

    /// Stores a filter's value. The key is taken as it is, not split.
    ///
    /// # Errors
    /// 2 when it was declared to be set once and is.
    pub(crate) fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        declared: Option<&Declared>,
    ) -> Result<(), Status> {
        if let Some((_, stored)) = self.own.iter_mut().find(|(known, _)| known == key) {
            if declared.is_some_and(|d| d.read_only) {
                return Err(Status::BadArgument);
            }
            if let Stored::Own(bytes, _) = stored {
                bytes.clear();
                bytes.extend_from_slice(value);
            }
            return Ok(());
        }
        let ty = declared.map(|d| d.ty.clone()).unwrap_or_default();
        self.own.push((key.to_vec(), Stored::Own(value.to_vec(), ty)));
        Ok(())
    }

    /// The stream context of a filter declares a key: only its second time makes a difference.
    ///
    /// # Errors
    /// 2 when this context has declared it.
    pub(crate) fn declare(&mut self, filter: usize, key: &[u8]) -> Result<(), Status> {
        if self.declared.iter().any(|(who, known)| *who == filter && known == key) {
            return Err(Status::BadArgument);
        }
        self.declared.push((filter, key.to_vec()));
        Ok(())
    }

    /// Stores an object of Envoy's, by the name of its kind.
    ///
    /// # Errors
    /// 1 for a name that Envoy does not know, 2 for a value that is none of that kind.
    pub(crate) fn set_envoy(&mut self, profile: &Profile, name: &str, value: &str) -> Result<(), Status> {
        let mut known = OBJECTS.iter().rev();
        let known = known.find(|(known, _, since)| *known == name && profile.has(*since));
        let (name, kind, _) = *known.ok_or(Status::NotFound)?;
        let stored = kind.read(value).ok_or(Status::BadArgument)?;
        self.envoy.retain(|(known, _)| *known != name);
        self.envoy.push((name, stored));
        Ok(())
    }

    /// What a filter stored under a key.
    pub(super) fn own(&self, key: &[u8]) -> Option<Value<'_>> {
        let (_, stored) = self.own.iter().find(|(stored, _)| stored == key)?;
        stored.value()
    }

    /// What is stored under a full name.
    pub(super) fn any(&self, name: &[u8]) -> Option<Value<'_>> {
        if let Some(key) = name.strip_prefix(b"wasm.") {
            return Some(match self.own(key)? {
                Value::Proto(bytes, url) => Value::Unpacked(bytes, url),
                value => value,
            });
        }
        self.envoy.iter().find(|(known, _)| known.as_bytes() == name)?.1.value()
    }
}

impl Stored {
    fn value(&self) -> Option<Value<'_>> {
        match self {
            Self::Own(bytes, Type::Text) => Some(Value::Text(Cow::Borrowed(bytes))),
            Self::Own(bytes, Type::Proto(url)) => Some(Value::Proto(bytes, url)),
            Self::Own(bytes, Type::FlatBuffer) => Some(Value::Proto(bytes, FLAT_BUFFER)),
            Self::Own(bytes, Type::Bytes) => Some(Value::Bytes(bytes)),
            Self::Text(text) => Some(Value::Bytes(text.as_bytes())),
            Self::Address(address) => Some(Value::Address(address)),
            Self::Hidden => None,
        }
    }
}

/// How an object is made from text.
#[derive(Debug, Clone, Copy)]
enum Object {
    Text,
    /// It is kept and has no text of its own.
    Hidden,
    Unsigned,
    /// Any word for yes or no.
    Bool,
    /// The word `true`; all else is false.
    Flag,
    /// An address without port; read back with port 0.
    Ip,
    /// An address with port.
    Address,
    /// A name, a comma, an address with port; cannot be read.
    Proxy,
}

impl Object {
    fn read(self, value: &str) -> Option<Stored> {
        Some(match self {
            Self::Text => Stored::Text(value.to_owned()),
            Self::Hidden => Stored::Hidden,
            Self::Unsigned => Stored::Text(value.parse::<u64>().ok()?.to_string()),
            Self::Bool => match value.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "1" => Stored::Text("true".into()),
                "false" | "f" | "no" | "n" | "0" => Stored::Text("false".into()),
                _ => return None,
            },
            Self::Flag => Stored::Text((value == "true").to_string()),
            Self::Ip => Stored::Text(SocketAddr::new(value.parse().ok()?, 0).to_string()),
            Self::Proxy => {
                let (name, address) = value.split_once(',')?;
                address.parse::<SocketAddr>().ok().filter(|_| !name.is_empty())?;
                Stored::Hidden
            }
            Self::Address => {
                let address: SocketAddr = value.parse().ok()?;
                Stored::Address(Address { ip: address.ip().to_string(), port: address.port() })
            }
        })
    }
}

/// The kinds of objects that Envoy makes from text, each of them measured, and the minor version that has it so
/// (docs/envoy.md 2.10, 2.14); of two with one name the later counts.
const OBJECTS: &[(&str, Object, u8)] = &[
    ("envoy.bool", Object::Bool, 40),
    ("envoy.filters.listener.original_dst.local_ip", Object::Address, 0),
    ("envoy.filters.listener.original_dst.remote_ip", Object::Address, 0),
    ("envoy.hashable_string", Object::Text, 38),
    ("envoy.network.application_protocols", Object::Hidden, 0),
    ("envoy.network.ip", Object::Ip, 0),
    ("envoy.network.network_namespace", Object::Text, 37),
    ("envoy.network.transport_socket.http_11_proxy.info", Object::Proxy, 0),
    ("envoy.network.transport_socket.original_dst_address", Object::Address, 0),
    ("envoy.network.upstream_server_name", Object::Text, 0),
    ("envoy.network.upstream_subject_alt_names", Object::Hidden, 0),
    ("envoy.network.upstream_subject_alt_names", Object::Text, 38),
    ("envoy.ratelimit.hits_addend", Object::Unsigned, 0),
    ("envoy.string", Object::Text, 0),
    ("envoy.tcp_proxy.cluster", Object::Text, 0),
    ("envoy.tcp_proxy.disable_tunneling", Object::Flag, 0),
    ("envoy.tcp_proxy.per_connection_idle_timeout_ms", Object::Unsigned, 0),
    ("envoy.upstream.dynamic_host", Object::Text, 0),
    ("envoy.upstream.dynamic_port", Object::Unsigned, 0),
];
