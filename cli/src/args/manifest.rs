//! Arguments of `tamis manifest`.

use super::{Policy, RemoteArgs};
use clap::Args;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use tamis_oci::deploy::{Phase, Resource, Target, Whole};

/// `tamis manifest`.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// The image: `registry/repository:tag`, with or without `oci://`
    #[arg(value_name = "REF")]
    pub reference: String,
    /// What to write
    #[arg(long, value_name = "KIND", default_value = "wasm-plugin")]
    pub kind: KindArg,
    /// Name of the resource [default: the repository's last part]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Namespace of the resource
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// It must work on this version, for instance `istio@1.29`
    #[arg(long, value_name = "PRODUCT@VERSION")]
    pub target: Option<String>,
    /// Act on workloads with this label; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub selector: Vec<(String, String)>,
    /// Act on this resource: `Gateway/edge`, `Service/cart`, `KIND.GROUP/NAME`; for Higress `Ingress/NAMESPACE/NAME` and
    /// `Domain/HOST` too; may be repeated
    #[arg(long, value_name = "KIND/NAME")]
    pub target_ref: Vec<TargetRef>,
    /// Act on all workloads of the namespace, or of the mesh
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<ScopeArg>,
    /// Configuration of the filter: a file, or text such as `{"a":1}`
    #[arg(long, value_name = "FILE|JSON")]
    pub config: Option<String>,
    /// Envoy's `root_id` [default: what the image says]
    #[arg(long, value_name = "ID")]
    pub root_id: Option<String>,
    /// Istio's phase
    #[arg(long, value_name = "PHASE")]
    pub phase: Option<PhaseArg>,
    /// Order within the phase, or among EnvoyFilters; higher is earlier
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// What happens to traffic when the filter is broken or cannot be fetched
    #[arg(long, value_name = "POLICY", default_value = "closed")]
    pub policy: Policy,
    /// Secret with the login for the registry, in the resource's namespace
    #[arg(long, value_name = "NAME")]
    pub pull_secret: Option<String>,
    /// Environment variable of the filter; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub env: Vec<(String, String)>,
    /// Part of the mesh for an EnvoyFilter, for instance `SIDECAR_INBOUND`
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Have Envoy read the module from this file on its own disk, in place of the image
    #[arg(long, value_name = "PATH")]
    pub code_file: Option<String>,
    /// Have Envoy fetch the raw module from this address, in place of the image
    #[arg(long, value_name = "URL", conflicts_with = "code_file", requires = "code_cluster")]
    pub code_url: Option<String>,
    /// Envoy's cluster for that address, or Consul's upstream service
    #[arg(long, value_name = "NAME", requires = "code_url")]
    pub code_cluster: Option<String>,
    /// Write nothing unless the image is signed with this key
    #[arg(long, value_name = "KEY", conflicts_with = "layout")]
    pub verify: Option<PathBuf>,
    /// Read the image from an OCI image layout in this folder
    #[arg(long, value_name = "FOLDER")]
    pub layout: Option<PathBuf>,
    /// The registry
    #[command(flatten)]
    pub remote: RemoteArgs,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("want KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A resource by kind and name, and perhaps its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRef {
    kind: String,
    group: Option<String>,
    name: String,
}

impl TargetRef {
    /// The target, with the group that kinds of this name have where none was given. Higress and Consul know none.
    pub fn target(&self, resource: Resource) -> Target {
        let plain =
            matches!(resource, Resource::HigressWasmPlugin | Resource::Consul | Resource::ConsulEntry);
        let usual = match self.kind.as_str() {
            _ if plain => "",
            "Service" => "",
            "ServiceEntry" => "networking.istio.io",
            _ => "gateway.networking.k8s.io",
        };
        let group = self.group.clone().unwrap_or_else(|| usual.to_owned());
        Target { kind: self.kind.clone(), group, name: self.name.clone() }
    }
}

impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}.{group}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

impl FromStr for TargetRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').ok_or("want KIND/NAME, for instance `Gateway/edge`")?;
        let (kind, group) =
            kind.split_once('.').map_or((kind, None), |(kind, group)| (kind, Some(group.to_owned())));
        Ok(Self { kind: kind.to_owned(), group, name: name.to_owned() })
    }
}

macro_rules! choices {
    ($(#[doc = $doc:literal])+ $name:ident as $other:ident: $($(#[doc = $text:literal])+ $choice:ident,)*) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
        pub enum $name { $($(#[doc = $text])+ $choice,)* }

        impl From<$name> for $other {
            fn from(choice: $name) -> Self {
                match choice { $($name::$choice => Self::$choice,)* }
            }
        }
    };
}

choices! {
    /// What is written.
    KindArg as Resource:
    /// Istio's WasmPlugin.
    WasmPlugin,
    /// Istio's TrafficExtension, from 1.30 on.
    TrafficExtension,
    /// Istio's EnvoyFilter.
    EnvoyFilter,
    /// Envoy Gateway's EnvoyExtensionPolicy.
    EnvoyExtensionPolicy,
    /// Higress's WasmPlugin.
    HigressWasmPlugin,
    /// Consul's ServiceDefaults or ProxyDefaults, for its Kubernetes operator.
    Consul,
    /// The same for `consul config write`.
    ConsulEntry,
    /// A bootstrap for an Envoy of one's own.
    Envoy,
}

choices! {
    /// All of something.
    ScopeArg as Whole:
    /// All workloads of the namespace.
    Namespace,
    /// All workloads of the mesh.
    Mesh,
}

choices! {
    /// Istio's phases.
    PhaseArg as Phase:
    /// Before authentication.
    Authn,
    /// Before authorization.
    Authz,
    /// Before statistics.
    Stats,
}
