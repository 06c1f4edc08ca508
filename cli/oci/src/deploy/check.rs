//! The rules of the products, before anything is written.

use super::{Code, Deployment, OnFailure, Phase, Remark, Resource, Whole, consul, envoy, gateway, higress};
use serde_json::Value;

rules! {
    /// A rule that a deployment can break.
    Lint:
    ScopeNotSaid = "scope-not-said", "Without labels and targets a filter acts on its whole namespace, and in the root namespace on the whole mesh. That has to be asked for: `--scope namespace` or `--scope mesh`.";
    TwoScopes = "two-scopes", "Istio takes labels or targets, not both; a whole namespace or mesh has neither.";
    MeshNamespace = "mesh-namespace", "A filter acts on the whole mesh only from Istio's root namespace, `istio-system` unless set otherwise; there it always does so.";
    TargetKind = "target-kind", "The product does not attach filters to this kind of resource. Istio: Gateway and GatewayClass (gateway.networking.k8s.io), Service, ServiceEntry (networking.istio.io). Envoy Gateway: Gateway, ListenerSet and routes, all of gateway.networking.k8s.io. Higress: Ingress, Service and Domain, which it calls rules. Consul: one Service.";
    TooManyTargets = "too-many-targets", "Istio takes 16 targets at most.";
    SelectorOnGateway = "selector-on-gateway", "Labels do not select a Kubernetes Gateway, and waypoints ignore labels altogether: name them as targets (`--target-ref Gateway/NAME`).";
    GatewayClassNamespace = "gatewayclass-namespace", "A GatewayClass is targeted only from Istio's root namespace.";
    ResourceName = "resource-name", "Names of resources, secrets and namespaces are DNS names: lower-case letters, digits and `-`, at most 63 for each part.";
    LabelText = "label-text", "A label has a key that is not empty and a value of at most 63 characters; neither takes `*`.";
    RootIdText = "root-id-length", "Istio's `pluginName` has 256 characters at most.";
    ConfigNotObject = "config-not-object", "Istio's `pluginConfig` is a JSON object. Text or lists need an EnvoyFilter.";
    EnvLimits = "env-limits", "Istio takes 256 variables, names up to 256 and values up to 2048 characters, each name once.";
    ReservedEnv = "reserved-env", "Istio's agent takes variables that begin with `ISTIO_META_` away before the filter sees them.";
    NewerIstio = "newer-istio", "The version of `--target` does not know this: TrafficExtension came with Istio 1.30, EnvoyFilters for waypoints with 1.29, `FAIL_RELOAD` with 1.27.";
    AuthFailsOpen = "auth-fails-open", "In the phases AUTHN and AUTHZ failing open lets everybody in when the filter breaks, or when its image cannot be fetched.";
    SecretNotRead = "secret-not-read", "In an EnvoyFilter Istio fills in no pull secret: the image must be readable without a login.";
    NotInProduct = "not-in-product", "The product has no field for this.";
    CodeElsewhere = "code-elsewhere", "Envoy itself fetches no images: it reads a file (`--code-file`), or fetches the raw module over HTTP (`--code-url` with `--code-cluster`).";
    HigressNamespace = "higress-namespace", "Higress reads WasmPlugins in its own namespace alone, `higress-system` unless set otherwise.";
    HigressRules = "higress-rules", "Higress puts rules for single routes, services and domains into the filter's own configuration, under `_rules_`: only a filter that reads that form does as they say. The filters of tamis do not, and refuse a key that they do not know.";
    ConsulWholeEntry = "consul-whole-entry", "Consul keeps one entry for a service, and one for all proxies: where there is one already, its list of extensions is replaced. Put this extension into the entry that you have.";
    NetworkFilter = "network-filter", "The module is a filter of TCP connections. Istio's own resources and the bootstrap for Envoy take those; here the others are written for HTTP.";
    ContextText = "context-unknown", "The context of an EnvoyFilter is ANY, SIDECAR_INBOUND, SIDECAR_OUTBOUND, GATEWAY or WAYPOINT.";
}

/// Istio's root namespace unless set otherwise.
const ROOT: &str = "istio-system";

/// What was found.
pub(super) struct Notes(Vec<Remark>);

impl Notes {
    pub(super) fn add(&mut self, remark: Remark) {
        self.0.push(remark);
    }

    pub(super) fn breaks(&mut self, lint: Lint, text: impl Into<String>) {
        self.0.push(Remark { lint, text: text.into(), breaks: true });
    }

    pub(super) fn warn(&mut self, lint: Lint, text: impl Into<String>) {
        self.0.push(Remark { lint, text: text.into(), breaks: false });
    }
}

pub(super) fn check(resource: Resource, d: &Deployment) -> Vec<Remark> {
    let mut notes = Notes(Vec::new());
    names(d, &mut notes);
    match &d.code {
        Some(Code::File(path)) if path.is_empty() => notes.breaks(Lint::CodeElsewhere, "the path is empty"),
        Some(Code::Url { url, cluster }) => {
            let known = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if known.is_none_or(str::is_empty) || cluster.is_empty() {
                notes.breaks(
                    Lint::CodeElsewhere,
                    "an address begins with `http://` or `https://`, and needs a cluster",
                );
            }
        }
        _ => {}
    }
    match resource {
        Resource::WasmPlugin | Resource::TrafficExtension => {
            scope(d, true, &mut notes);
            istio(resource, d, &mut notes);
        }
        Resource::EnvoyFilter => {
            scope(d, true, &mut notes);
            envoy_filter(d, &mut notes);
        }
        Resource::EnvoyExtensionPolicy => gateway::check(d, &mut notes),
        Resource::HigressWasmPlugin => higress::check(d, &mut notes),
        Resource::Consul | Resource::ConsulEntry => consul::check(d, &mut notes),
        Resource::Envoy => envoy::check(d, &mut notes),
    }
    let takes_network =
        matches!(resource, Resource::WasmPlugin | Resource::TrafficExtension | Resource::Envoy);
    if d.network && !takes_network {
        notes.breaks(Lint::NetworkFilter, "the filter is one of TCP connections");
    }
    let guards = matches!(d.phase, Some(Phase::Authn | Phase::Authz));
    if guards && d.on_failure == OnFailure::Open && !d.shadow {
        notes.warn(Lint::AuthFailsOpen, "a broken filter lets everybody in");
    }
    notes.0
}

fn names(d: &Deployment, notes: &mut Notes) {
    let all = [
        ("name", Some(&d.name)),
        ("namespace", d.namespace.as_ref()),
        ("pull secret", d.pull_secret.as_ref()),
    ];
    for (what, name) in all {
        if let Some(name) = name.filter(|n| !is_label(n.as_str())) {
            notes.breaks(Lint::ResourceName, format!("the {what} is `{}`", name.escape_debug()));
        }
    }
    if d.root_id.chars().count() > 256 {
        notes.breaks(Lint::RootIdText, "the root id is longer");
    }
}

/// RFC 1123, as Kubernetes wants names that become labels too.
pub(super) fn is_label(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 63
        && name.bytes().all(|b| word(b) || b == b'-')
        && name.bytes().next().is_some_and(word)
        && name.bytes().next_back().is_some_and(word)
}

pub(super) fn scope(d: &Deployment, istio: bool, notes: &mut Notes) {
    let Deployment { scope, namespace, .. } = d;
    let ways = [!scope.selector.is_empty(), !scope.targets.is_empty(), scope.whole.is_some()];
    match ways.iter().filter(|w| **w).count() {
        0 => notes.breaks(Lint::ScopeNotSaid, "nothing says where the filter acts"),
        1 => {}
        _ => notes.breaks(Lint::TwoScopes, "more than one thing says where the filter acts"),
    }
    let root = namespace.as_deref() == Some(ROOT);
    match scope.whole {
        Some(Whole::Mesh) if !root => {
            notes.warn(Lint::MeshNamespace, format!("the namespace is not `{ROOT}`"));
        }
        Some(Whole::Namespace) if root => {
            notes.breaks(Lint::MeshNamespace, format!("`{ROOT}` means the whole mesh"))
        }
        _ => {}
    }
    for (key, value) in &scope.selector {
        if key.is_empty() || key.contains('*') || value.contains('*') || value.chars().count() > 63 {
            notes.breaks(Lint::LabelText, format!("`{}={}`", key.escape_debug(), value.escape_debug()));
        }
        if key == "gateway.networking.k8s.io/gateway-name" || key == "istio.io/gateway-name" {
            notes.warn(Lint::SelectorOnGateway, format!("`{key}` is a label of such a gateway"));
        }
    }
    if scope.targets.len() > 16 {
        notes.breaks(Lint::TooManyTargets, format!("{} targets", scope.targets.len()));
    }
    for target in &scope.targets {
        let known = match (target.kind.as_str(), target.group.as_str()) {
            ("GatewayClass", GATEWAY_API) if istio => {
                if !root {
                    notes.warn(Lint::GatewayClassNamespace, format!("the namespace is not `{ROOT}`"));
                }
                true
            }
            ("Gateway", GATEWAY_API) => true,
            ("Service", "" | "core") | ("ServiceEntry", "networking.istio.io") => istio,
            (
                "ListenerSet" | "HTTPRoute" | "GRPCRoute" | "TCPRoute" | "UDPRoute" | "TLSRoute",
                GATEWAY_API,
            ) => !istio,
            _ => false,
        };
        if !known {
            let text = format!("`{}` of `{}`", target.kind.escape_debug(), target.group.escape_debug());
            notes.breaks(Lint::TargetKind, text);
        }
        if target.name.is_empty() || target.name.len() > 253 {
            notes.breaks(Lint::ResourceName, format!("a target is `{}`", target.name.escape_debug()));
        }
    }
}

/// The context of waypoints, which are matched by fields of their own.
pub(super) const WAYPOINT: &str = "WAYPOINT";

/// Group of the Gateway API.
pub(super) const GATEWAY_API: &str = "gateway.networking.k8s.io";

fn istio(resource: Resource, d: &Deployment, notes: &mut Notes) {
    let older = |than: u32| d.istio.is_some_and(|v| v < than);
    if resource == Resource::TrafficExtension && older(30) {
        notes.breaks(Lint::NewerIstio, "TrafficExtension needs Istio 1.30");
    }
    if d.on_failure == OnFailure::Reload && older(27) {
        notes.breaks(Lint::NewerIstio, "`FAIL_RELOAD` needs Istio 1.27");
    }
    if d.config.as_ref().is_some_and(|c| !c.is_object()) {
        notes.breaks(Lint::ConfigNotObject, "the configuration is no object");
    }
    if d.code.is_some() {
        notes.breaks(Lint::NotInProduct, "code that Envoy gets itself needs an EnvoyFilter");
    }
    if d.context.is_some() {
        notes.breaks(Lint::NotInProduct, "a context needs an EnvoyFilter");
    }
    env(d, notes);
}

pub(super) fn env(d: &Deployment, notes: &mut Notes) {
    let long = |(name, value): &(String, String)| {
        name.is_empty() || name.chars().count() > 256 || value.chars().count() > 2048
    };
    let mut names: Vec<_> = d.env.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    if d.env.len() > 256 || d.env.iter().any(long) || names.windows(2).any(|w| w[0] == w[1]) {
        notes.breaks(Lint::EnvLimits, format!("{} variables", d.env.len()));
    }
    for (name, _) in d.env.iter().filter(|(name, _)| name.starts_with("ISTIO_META_")) {
        notes.breaks(Lint::ReservedEnv, format!("`{}`", name.escape_debug()));
    }
}

fn envoy_filter(d: &Deployment, notes: &mut Notes) {
    env(d, notes);
    if d.pull_secret.is_some() {
        notes.breaks(Lint::SecretNotRead, "a pull secret is named");
    }
    if d.phase.is_some() {
        notes.breaks(Lint::NotInProduct, "an EnvoyFilter has no phase: it stands before the router");
    }
    if d.context.as_deref() == Some(WAYPOINT) {
        if d.istio.is_some_and(|v| v < 29) {
            notes.breaks(Lint::NewerIstio, "an EnvoyFilter for waypoints needs Istio 1.29");
        }
        if !d.scope.selector.is_empty() {
            notes.breaks(Lint::SelectorOnGateway, "the context is that of waypoints");
        }
    }
    let known = ["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", WAYPOINT];
    if let Some(context) = d.context.as_deref().filter(|c| !known.contains(c)) {
        notes.breaks(Lint::ContextText, format!("`{}`", context.escape_debug()));
    }
}

pub(super) fn not_there<const N: usize>(product: &str, absent: [(bool, &str); N], notes: &mut Notes) {
    for (_, what) in absent.into_iter().filter(|(asked, _)| *asked) {
        notes.breaks(Lint::NotInProduct, format!("{product} has no field for {what}"));
    }
}

/// The configuration as the filter gets it: text as it is, anything else as JSON.
pub fn config_text(config: &Value) -> String {
    match config {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
