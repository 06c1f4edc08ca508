//! What the proxy is and no recording tells (docs/envoy.md 2.9), as configuration of Envoy.

use crate::bootstrap::REPLAY;
use serde_json::{Map, Value, json};
use std::fmt;
use tamis_traffic::PropertyValue;

const SET_METADATA: &str = "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config";

/// Properties of the proxy, as a real Envoy can be given them.
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    node: Map<String, Value>,
    /// `filter_metadata` of `route`, `virtual_host`, `listener`, `cluster`, `upstream_host`.
    metadata: Map<String, Value>,
    /// What native filters before the chain found out, by namespace.
    dynamic: Map<String, Value>,
    route: Option<String>,
    virtual_host: Option<String>,
    filter_chain: Option<String>,
    cluster: Option<String>,
    direction: Option<&'static str>,
}

/// A property that a real Envoy cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotGiven {
    path: String,
}

impl fmt::Display for NotGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a real Envoy cannot be given the property `{}`", self.path)
    }
}

impl std::error::Error for NotGiven {}

impl NotGiven {
    /// What helps.
    pub fn hint(&self) -> &'static str {
        "it can be given `metadata`, and of `xds` the node, the names, the direction and the metadata; \
        `--engine wasmtime` plays the others"
    }
}

impl Proxy {
    /// Takes a tree whose keys are the segments of paths, as the test host does.
    ///
    /// # Errors
    /// With the first property that a real Envoy cannot be given.
    pub fn read(tree: &PropertyValue) -> Result<Self, NotGiven> {
        let mut proxy = Self::default();
        proxy.put(&mut Vec::new(), tree)?;
        Ok(proxy)
    }

    fn put<'a>(&mut self, path: &mut Vec<&'a str>, value: &'a PropertyValue) -> Result<(), NotGiven> {
        let refused = |path: &[&str]| NotGiven { path: path.join(".") };
        match (&path[..], value) {
            // The way there.
            (
                [] | ["metadata"] | ["xds"] | ["xds", "node"] | ["xds", "node", "locality"],
                PropertyValue::Map(entries),
            ) => return self.each(path, entries),
            (["xds", of], PropertyValue::Map(entries)) if metadata_of(of).is_some() => {
                return self.each(path, entries);
            }
            (["xds", "node", name @ ("id" | "cluster")], PropertyValue::Text(text)) => {
                self.node.insert((*name).to_owned(), json!(text));
            }
            (
                ["xds", "node", "locality", name @ ("region" | "zone" | "sub_zone")],
                PropertyValue::Text(text),
            ) => {
                let locality = self.node.entry("locality").or_insert_with(|| json!({}));
                locality[*name] = json!(text);
            }
            (["xds", "node", "metadata"], value) => {
                let metadata = json(value).filter(Value::is_object).ok_or_else(|| refused(path))?;
                self.node.insert("metadata".to_owned(), metadata);
            }
            (["xds", of, "filter_metadata"], value) => {
                let of = metadata_of(of).ok_or_else(|| refused(path))?;
                let metadata = json(value).filter(is_structs).ok_or_else(|| refused(path))?;
                self.metadata.insert(of.to_owned(), json!({ "filter_metadata": metadata }));
            }
            (["metadata", "filter_metadata"], value) => {
                let metadata = json(value).filter(is_structs).ok_or_else(|| refused(path))?;
                self.dynamic = metadata.as_object().cloned().unwrap_or_default();
            }
            (["xds", "route_name"], PropertyValue::Text(text)) => self.route = Some(text.clone()),
            (["xds", "virtual_host_name"], PropertyValue::Text(text)) => {
                self.virtual_host = Some(text.clone())
            }
            (["xds", "filter_chain_name"], PropertyValue::Text(text)) => {
                self.filter_chain = Some(text.clone())
            }
            (["xds", "cluster_name"], PropertyValue::Text(text)) if !text.is_empty() => {
                self.cluster = Some(text.clone());
            }
            (["xds", "listener_direction"], PropertyValue::Int(number @ 0..=2)) => {
                self.direction = Some(["UNSPECIFIED", "INBOUND", "OUTBOUND"][*number as usize]);
            }
            _ => return Err(refused(path)),
        }
        Ok(())
    }

    fn each<'a>(
        &mut self,
        path: &mut Vec<&'a str>,
        entries: &'a [(PropertyValue, PropertyValue)],
    ) -> Result<(), NotGiven> {
        for (key, value) in entries {
            let PropertyValue::Text(key) = key else {
                return Err(NotGiven { path: path.join(".") });
            };
            path.push(key);
            self.put(path, value)?;
            path.pop();
        }
        Ok(())
    }

    /// Envoy's `node`; none when nothing was said of it.
    pub(crate) fn node(&self) -> Option<Value> {
        (!self.node.is_empty()).then(|| Value::Object(self.node.clone()))
    }

    /// The name of the cluster that the exchanges go to.
    pub(crate) fn cluster(&self) -> &str {
        self.cluster.as_deref().unwrap_or(REPLAY)
    }

    /// Writes into a listener what is said of it.
    pub(crate) fn dress_listener(&self, listener: &mut Value) {
        put(listener, "traffic_direction", self.direction.map(Into::into));
        put(listener, "metadata", self.metadata.get("listener").cloned());
        let chain = &mut listener["filter_chains"][0];
        put(chain, "name", self.filter_chain.clone().map(Into::into));
        let manager = &mut chain["filters"][0]["typed_config"];
        if !self.dynamic.is_empty()
            && let Some(filters) = manager["http_filters"].as_array_mut()
        {
            let one = |(name, value): (&String, &Value)| json!({ "metadata_namespace": name, "value": value, "allow_overwrite": true });
            let metadata: Vec<Value> = self.dynamic.iter().map(one).collect();
            filters.insert(0, json!({ "name": "set_metadata", "typed_config": { "@type": SET_METADATA, "metadata": metadata } }));
        }
        let host = &mut manager["route_config"]["virtual_hosts"][0];
        put(host, "name", self.virtual_host.clone().map(Into::into));
        put(host, "metadata", self.metadata.get("virtual_host").cloned());
        put(&mut host["routes"][0], "name", self.route.clone().map(Into::into));
        put(&mut host["routes"][0], "metadata", self.metadata.get("route").cloned());
    }

    /// Writes into the cluster of the exchanges what is said of it.
    pub(crate) fn dress_cluster(&self, cluster: &mut Value) {
        put(cluster, "metadata", self.metadata.get("cluster").cloned());
        let upstream = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
        put(upstream, "metadata", self.metadata.get("upstream_host").cloned());
    }
}

fn put(at: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        at[key] = value;
    }
}

/// `route` of `route_metadata`, where Envoy's configuration has such a place.
fn metadata_of(name: &str) -> Option<&str> {
    let of = name.strip_suffix("_metadata")?;
    ["route", "virtual_host", "listener", "cluster", "upstream_host"].contains(&of).then_some(of)
}

/// Namespaces, each a `Struct`.
fn is_structs(metadata: &Value) -> bool {
    metadata.as_object().is_some_and(|all| all.values().all(Value::is_object))
}

/// As a `Struct` has it; none for what it cannot hold.
fn json(value: &PropertyValue) -> Option<Value> {
    Some(match value {
        PropertyValue::Null => Value::Null,
        PropertyValue::Bool(value) => json!(value),
        PropertyValue::Int(number) => json!(number),
        PropertyValue::Uint(number) => json!(number),
        PropertyValue::Double(number) => json!(number),
        PropertyValue::Text(text) => json!(text),
        PropertyValue::List(list) => Value::Array(list.iter().map(json).collect::<Option<_>>()?),
        PropertyValue::Map(entries) => {
            let entry = |(key, value): &(PropertyValue, PropertyValue)| match key {
                PropertyValue::Text(key) => Some((key.clone(), json(value)?)),
                _ => None,
            };
            Value::Object(entries.iter().map(entry).collect::<Option<_>>()?)
        }
        PropertyValue::Bytes(_)
        | PropertyValue::Duration(_)
        | PropertyValue::Timestamp(_)
        | PropertyValue::Message(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tree: &Value) -> Result<Proxy, NotGiven> {
        Proxy::read(&tree.into())
    }

    #[test]
    fn what_envoy_has_a_place_for_is_taken_and_the_rest_is_named() {
        let proxy = read(&json!({
            "xds": { "node": { "id": "a", "metadata": { "N": 1 } }, "route_name": "r", "cluster_name": "c",
                "listener_direction": 2, "route_metadata": { "filter_metadata": { "shop": { "tier": "gold" } } } },
            "metadata": { "filter_metadata": { "jwt": { "sub": "me" } } },
        }))
        .unwrap();
        assert_eq!(proxy.node(), Some(json!({ "id": "a", "metadata": { "N": 1 } })));
        assert_eq!((proxy.cluster(), proxy.direction), ("c", Some("OUTBOUND")));
        assert_eq!(proxy.metadata["route"]["filter_metadata"]["shop"]["tier"], "gold");
        assert_eq!(proxy.dynamic["jwt"]["sub"], "me");
        for (tree, path) in [
            (json!({ "connection": { "tls_version": "1.3" } }), "connection"),
            (json!({ "xds": { "node": { "user_agent_name": "x" } } }), "xds.node.user_agent_name"),
            (json!({ "xds": { "listener_direction": 3 } }), "xds.listener_direction"),
            (
                json!({ "xds": { "upstream_host_locality_metadata": {} } }),
                "xds.upstream_host_locality_metadata",
            ),
            (json!({ "metadata": { "filter_metadata": { "a": 1 } } }), "metadata.filter_metadata"),
        ] {
            assert_eq!(read(&tree).unwrap_err(), NotGiven { path: path.to_owned() });
        }
    }
}
