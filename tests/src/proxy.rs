//! What a proxy is called and which metadata it carries: names of a row, told to both engines.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tamis_traffic::PropertyValue;

/// The proxy of a row, beside its filters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// `INBOUND` or `OUTBOUND`.
    pub direction: Option<String>,
    /// Name of the route.
    pub route: Option<String>,
    /// Name of the listener's filter chain.
    pub filter_chain: Option<String>,
    /// `filter_metadata` of `listener`, `route`, `virtual_host`, `cluster` and `upstream_host`.
    pub metadata: BTreeMap<String, Value>,
}

/// The node that every Envoy of these tests is. Its metadata has one key in each map: Envoy's order of several
/// is not defined.
pub fn node() -> Value {
    json!({
        "id": "sidecar~one",
        "cluster": "conformance",
        "locality": { "region": "here", "zone": "there" },
        "metadata": {
            "NAME": "shop", "NUMBER": 7, "YES": true, "NOTHING": null,
            "LIST": ["a", 2, ["b"]], "MAP": { "in": { "ner": "x" } }
        },
    })
}

impl Proxy {
    /// The same for our host: what no recording tells.
    pub fn properties(&self) -> PropertyValue {
        let mut xds = json!({ "node": node(), "virtual_host_name": "all" });
        if let Some(name) = &self.filter_chain {
            xds["filter_chain_name"] = json!(name);
        }
        for (of, metadata) in &self.metadata {
            xds[format!("{of}_metadata")] = json!({ "filter_metadata": metadata });
        }
        (&json!({ "xds": xds })).into()
    }

    /// Writes it into a listener and a cluster of the bootstrap.
    pub fn dress(&self, listener: &mut Value, cluster: &mut Value) {
        let metadata = |of: &str| self.metadata.get(of).map(|m| json!({ "filter_metadata": m }));
        let put = |at: &mut Value, key: &str, value: Option<Value>| {
            if let Some(value) = value {
                at[key] = value;
            }
        };
        put(listener, "traffic_direction", self.direction.as_ref().map(|d| json!(d)));
        put(listener, "metadata", metadata("listener"));
        let chain = &mut listener["filter_chains"][0];
        put(chain, "name", self.filter_chain.as_ref().map(|n| json!(n)));
        let host = &mut chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0];
        put(host, "metadata", metadata("virtual_host"));
        put(&mut host["routes"][0], "name", self.route.as_ref().map(|n| json!(n)));
        put(&mut host["routes"][0], "metadata", metadata("route"));
        put(cluster, "metadata", metadata("cluster"));
        let upstream = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
        put(upstream, "metadata", metadata("upstream_host"));
    }
}
