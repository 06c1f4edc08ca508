//! From the command line and the image to the description of a deployment.

use crate::args::{ManifestArgs, Policy};
use crate::failure::{Code, Failure, Result};
use crate::plan::{FilterPlan, Source, config_bytes};
use crate::ui::{Paint, Ui};
use crate::verb::config::schema;
use crate::verb::image::{Screen, fetch, open, opinions_text, safe};
use crate::verb::play;
use serde_json::{Value, json};
use tamis_host::{ModuleFacts, Stage, StartReason};
use tamis_oci::consumers::{Consumer, Rule};
use tamis_oci::deploy::{self, Deployment, OnFailure, Resource, Scope, config_text};
use tamis_oci::sign::{PublicKey, verify};
use tamis_oci::{Fetched, Module, Reference};
use tamis_traffic::Blame;

/// The annotation with the root id that a filter wants.
const ROOT_ID: &str = "tamis.root-id";

/// What is to be written, and for which module.
pub(in crate::verb) struct Prepared {
    pub(in crate::verb) resource: Resource,
    pub(in crate::verb) deployment: Deployment,
    wasm: Vec<u8>,
}

/// Reads the image and holds it against whoever is to load it.
pub(in crate::verb) fn prepare(args: &ManifestArgs, ui: &mut Ui) -> Result<Prepared> {
    let reference: Reference = args.reference.parse()?;
    let resource = Resource::from(args.kind);
    let target = consumer(args, resource)?;
    let key = args.verify.as_deref().map(PublicKey::file).transpose()?;
    let fetched = fetch(&reference, args.layout.as_deref(), &args.remote, ui)?;
    if let Some(key) = &key {
        {
            let screen = Screen::new(ui);
            verify(&open(&reference, &args.remote, &screen)?, &fetched.digest, key)?;
        }
        ui.status("Verified", "signed with the key");
    }
    let code = code(args);
    if let (Some((consumer, version)), None) = (target, &code) {
        loadable(&fetched, consumer, version, &reference)?;
    }
    let child = fetched.child.as_ref();
    let found = child.and_then(|c| Some((c, c.found()?)));
    let Some((child, found)) = found else {
        return Err(Failure::new(Code::BadImage, format!("no module in {reference}"))
            .run(format!("tamis inspect oci://{reference}")));
    };
    let root_id = args.root_id.clone().or_else(|| child.manifest.annotations.get(ROOT_ID).cloned());
    let facts = tamis_host::inspect(found.wasm).ok();
    let last = reference.repository.rsplit('/').next().unwrap_or_default();
    let version = target.and_then(|(_, version)| version);
    let deployment = Deployment {
        // Repositories may have `.` and `_`, resources may not.
        name: args.name.clone().unwrap_or_else(|| last.replace(['.', '_'], "-")),
        namespace: args.namespace.clone(),
        image: reference.clone(),
        digest: child.digest.clone(),
        wasm: Module::read(found.wasm).sha256,
        code,
        network: facts.as_ref().is_some_and(network),
        schema: facts.as_ref().and_then(schema),
        shadow: false,
        root_id: root_id.unwrap_or_default(),
        config: config(args)?,
        scope: Scope {
            selector: args.selector.iter().cloned().collect(),
            targets: args.target_ref.iter().map(|t| t.target(resource)).collect(),
            whole: args.scope.map(Into::into),
        },
        phase: args.phase.map(Into::into),
        priority: args.priority,
        on_failure: match args.policy {
            Policy::Closed => OnFailure::Closed,
            Policy::Open => OnFailure::Open,
            Policy::Reload => OnFailure::Reload,
        },
        pull_secret: args.pull_secret.clone(),
        env: args.env.clone(),
        context: args.context.clone(),
        istio: version.and_then(|v| v.strip_prefix("1.")).and_then(|minor| minor.parse().ok()),
    };
    Ok(Prepared { resource, deployment, wasm: found.wasm.to_vec() })
}

impl Prepared {
    /// Has the filter itself read its configuration, as the proxy will: one that it refuses takes traffic down.
    pub(in crate::verb) fn try_config(&self, deployment: &Deployment, ui: &mut Ui) -> Result<()> {
        let engine = play::engine(ui)?;
        // An object without fields is nothing to Istio, and nothing is what the filter gets.
        let istio = matches!(
            self.resource,
            Resource::WasmPlugin | Resource::TrafficExtension | Resource::HigressWasmPlugin
        );
        let nothing = |c: &&Value| istio && **c == json!({});
        let config = deployment.config.as_ref().filter(|c| !nothing(c));
        let plan = FilterPlan {
            name: deployment.name.clone(),
            config: Some(config.map(config_text).unwrap_or_default().into_bytes()),
            root_id: Some(deployment.root_id.clone()),
            env: deployment.env.clone(),
            ..FilterPlan::new(Source::Bytes(deployment.name.clone(), self.wasm.clone()))
        };
        let loaded = plan.load(&engine, &crate::build::Request::default(), ui);
        let stage = loaded.map(|loaded| Stage::builder(&engine).filter(loaded.spec).build());
        match stage {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if filters_own(&error.reason) => return Err(play::start_failure(error)),
            // Some hosts have what this one has not.
            Ok(Err(error)) => not_tried(&error.to_string(), ui),
            Err(failure) => {
                let all = [vec![failure.headline()], failure.causes()].concat();
                not_tried(&all.join(": "), ui);
            }
        }
        Ok(())
    }
}

fn not_tried(why: &str, ui: &mut Ui) {
    ui.warn(&format!("whether the filter takes its configuration was not tried: {}", safe(why)));
}

/// Whether a proxy would be told the same.
fn filters_own(reason: &StartReason) -> bool {
    match reason {
        StartReason::Refused => true,
        StartReason::Fault { kind, .. } => kind.blame() == Blame::Filter,
        StartReason::Link(_) => false,
    }
}

/// Who will load it, and which version was asked for; nobody but Envoy itself for some kinds.
fn consumer(args: &ManifestArgs, resource: Resource) -> Result<Option<(Consumer, Option<&'static str>)>> {
    let own = match resource {
        Resource::EnvoyExtensionPolicy => "envoy-gateway",
        Resource::HigressWasmPlugin => "higress",
        Resource::WasmPlugin | Resource::TrafficExtension | Resource::EnvoyFilter => "istio",
        Resource::Consul | Resource::ConsulEntry | Resource::Envoy => match &args.target {
            None => return Ok(None),
            Some(_) => return Err(Failure::new(Code::Usage, "this kind has no versions, so no `--target`")),
        },
    };
    let text = args.target.as_deref().unwrap_or(own);
    let unknown =
        |why: String| Failure::new(Code::Usage, format!("no target `{text}` for this kind")).hint(why);
    let (consumer, version) = Consumer::named(text).map_err(unknown)?;
    if consumer.id != own {
        return Err(unknown(format!("this kind is for `{own}`")));
    }
    Ok(Some((consumer, version)))
}

fn loadable(
    fetched: &Fetched,
    consumer: Consumer,
    version: Option<&str>,
    reference: &Reference,
) -> Result<()> {
    let mut opinion = consumer.judge(version, fetched);
    // What is written pins the child of an index, not the index.
    opinion.findings.retain(|f| f.rule != Rule::PinnedIndex);
    opinion.loads = opinion.findings.iter().all(|f| !f.breaks);
    if opinion.loads {
        return Ok(());
    }
    let line = opinions_text(&[opinion], Paint::PLAIN);
    Err(Failure::new(Code::NotLoadable, line.trim()).run(format!("tamis inspect oci://{reference}")))
}

fn code(args: &ManifestArgs) -> Option<deploy::Code> {
    let file = args.code_file.clone().map(deploy::Code::File);
    let both = args.code_url.clone().zip(args.code_cluster.clone());
    file.or_else(|| both.map(|(url, cluster)| deploy::Code::Url { url, cluster }))
}

fn config(args: &ManifestArgs) -> Result<Option<Value>> {
    let Some(given) = &args.config else { return Ok(None) };
    let text = String::from_utf8(config_bytes(given)?)
        .map_err(|_| Failure::new(Code::BadConfig, "the configuration is no UTF-8 text"))?;
    Ok(Some(serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Whether the filter sees connections and no requests.
fn network(facts: &ModuleFacts) -> bool {
    let has = |names: &[&str]| facts.exports.iter().any(|e| names.contains(&e.name.as_str()));
    has(&["proxy_on_new_connection", "proxy_on_downstream_data", "proxy_on_upstream_data"])
        && !has(&[
            "proxy_on_request_headers",
            "proxy_on_request_body",
            "proxy_on_response_headers",
            "proxy_on_response_body",
        ])
}
