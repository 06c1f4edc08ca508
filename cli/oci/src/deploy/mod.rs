//! What a mesh wants to be told about an image: resources for Istio, Envoy Gateway, Higress and Consul, filters for
//! Envoy itself.
//!
//! One description, [`Deployment`], is checked by the product's rules and rendered as JSON values, which are YAML too;
//! [`shadow`] makes of it a first step that only counts, [`folder`] a Kustomize folder of both.
//! The rules were read in the resource definitions and validation of Istio 1.32-dev, Envoy Gateway 1.9, Higress of
//! April 2026 and Consul and its Kubernetes operator of August 2026.

mod check;
mod consul;
mod envoy;
mod gateway;
mod higress;
mod istio;
mod kustomize;
mod rollout;

pub use check::{Lint, config_text};
pub(crate) use envoy::METADATA;
pub use kustomize::folder;
pub use rollout::{NoShadow, shadow};

use crate::digest::Digest;
use crate::reference::Reference;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Istio's `WasmPlugin`.
    WasmPlugin,
    /// Istio's `TrafficExtension`, which takes its place from 1.30 on.
    TrafficExtension,
    /// Istio's `EnvoyFilter`: through the agent, or with code that Envoy itself reads or fetches.
    EnvoyFilter,
    /// Envoy Gateway's `EnvoyExtensionPolicy`.
    EnvoyExtensionPolicy,
    /// Higress's own `WasmPlugin`.
    HigressWasmPlugin,
    /// Consul's `ServiceDefaults`, or for the whole mesh its `ProxyDefaults`, as its Kubernetes operator reads them.
    Consul,
    /// The same as configuration entries, which `consul config write` reads.
    ConsulEntry,
    /// A bootstrap for an Envoy of one's own, which reads the module from a file.
    Envoy,
}

/// Where a filter acts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Labels of workloads: sidecars and classic gateways.
    pub selector: BTreeMap<String, String>,
    /// Resources that are named: waypoints, gateways, services, routes.
    pub targets: Vec<Target>,
    /// Said explicitly.
    pub whole: Option<Whole>,
}

/// A named resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// For instance `Gateway`; for Higress `Ingress`, `Service` or `Domain`.
    pub kind: String,
    /// For instance `gateway.networking.k8s.io`.
    pub group: String,
    /// Its name, in the namespace of what is written; for Higress as its rules name it, `NAMESPACE/NAME` for instance.
    pub name: String,
}

/// All of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// All workloads of the namespace.
    Namespace,
    /// All workloads of the mesh: the resource lies in the root namespace.
    Mesh,
}

/// Phases of Istio, in which filters are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before authentication.
    Authn,
    /// Before authorization.
    Authz,
    /// Before statistics.
    Stats,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Phase::Authn => "AUTHN",
            Phase::Authz => "AUTHZ",
            Phase::Stats => "STATS",
        }
    }
}

/// What happens to traffic when the filter is broken or cannot be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Closed,
    /// It passes without the filter.
    Open,
    /// The filter is started anew; what cannot be started refuses.
    Reload,
}

/// Code that Envoy itself gets, in place of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// A file on the proxy's disk.
    File(String),
    /// An `http(s)` address, fetched through a cluster of Envoy.
    Url {
        /// The address.
        url: String,
        /// The cluster; for Consul the name of the upstream service.
        cluster: String,
    },
}

/// A filter in a mesh.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Name of the resource: a DNS label.
    pub name: String,
    /// Its namespace; none: that of whoever applies it.
    pub namespace: Option<String>,
    /// The image; its digest is that of the manifest, never of an index.
    pub image: Reference,
    /// The same.
    pub digest: Digest,
    /// Of the raw module, for code that Envoy gets itself.
    pub wasm: Digest,
    /// Code in place of the image, for [`Resource::EnvoyFilter`], Consul and [`Resource::Envoy`].
    pub code: Option<Code>,
    /// True for a filter of TCP connections, false for one of HTTP.
    pub network: bool,
    /// The JSON Schema of its configuration, if the module carries one.
    pub schema: Option<Value>,
    /// True for the step of a rollout in which the filter only counts.
    pub shadow: bool,
    /// Envoy's `root_id`.
    pub root_id: String,
    /// The filter's configuration.
    pub config: Option<Value>,
    /// Where it acts.
    pub scope: Scope,
    /// When it acts among other filters.
    pub phase: Option<Phase>,
    /// Order within a phase, or among the EnvoyFilters of a place: higher is earlier.
    pub priority: Option<i32>,
    /// What happens when it breaks.
    pub on_failure: OnFailure,
    /// Secret with the login for the registry, in the same namespace.
    pub pull_secret: Option<String>,
    /// Environment variables of the filter.
    pub env: Vec<(String, String)>,
    /// Part of the mesh for [`Resource::EnvoyFilter`], for instance `SIDECAR_INBOUND`.
    pub context: Option<String>,
    /// Minor version of Istio that it must work on, for instance 29.
    pub istio: Option<u32>,
}

/// One thing about a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Which rule.
    pub lint: Lint,
    /// One line about this deployment.
    pub text: String,
    /// True when nothing is written for it, else it is a warning.
    pub breaks: bool,
}

/// Writes the resource.
///
/// # Errors
/// All remarks, when one of them breaks.
pub fn render(resource: Resource, deployment: &Deployment) -> Result<(Value, Vec<Remark>), Vec<Remark>> {
    let remarks = check::check(resource, deployment);
    if remarks.iter().any(|r| r.breaks) {
        return Err(remarks);
    }
    let value = match resource {
        Resource::Envoy => {
            envoy::bootstrap(deployment, deployment.code.as_ref().unwrap_or(&Code::File(String::new())))
        }
        Resource::WasmPlugin => istio::wasm_plugin(deployment),
        Resource::TrafficExtension => istio::traffic_extension(deployment),
        Resource::EnvoyFilter => istio::envoy_filter(deployment),
        Resource::EnvoyExtensionPolicy => gateway::policy(deployment),
        Resource::HigressWasmPlugin => higress::wasm_plugin(deployment),
        Resource::Consul => consul::resource(deployment),
        Resource::ConsulEntry => consul::entry(deployment),
    };
    Ok((value, remarks))
}

/// An object of a resource: head and body.
fn object(api: &str, kind: &str, deployment: &Deployment, spec: Map<String, Value>) -> Value {
    let mut metadata = Map::new();
    set(&mut metadata, "name", deployment.name.as_str());
    if let Some(namespace) = &deployment.namespace {
        set(&mut metadata, "namespace", namespace.as_str());
    }
    let mut all = Map::new();
    set(&mut all, "apiVersion", api);
    set(&mut all, "kind", kind);
    set(&mut all, "metadata", metadata);
    set(&mut all, "spec", spec);
    Value::Object(all)
}

fn set(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    map.insert(key.to_owned(), value.into());
}
