//! `tamis manifest`.

use super::image::{fetch, opinions_text, safe};
use crate::args::{ManifestArgs, Policy};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::plan::config_bytes;
use crate::ui::{Paint, Ui};
use serde_json::{Value, json};
use tamis_oci::consumers::Consumer;
use tamis_oci::deploy::{self, Deployment, OnFailure, Remark, Resource, Scope, render};
use tamis_oci::{Digest, Fetched, Module, Reference};

/// The annotation with the root id that a filter wants.
const ROOT_ID: &str = "tamis.root-id";

pub(super) fn run(args: &ManifestArgs, ui: &mut Ui) -> Result<Exit> {
    let reference: Reference = args.reference.parse()?;
    let resource = Resource::from(args.kind);
    let (consumer, version) = consumer(args, resource)?;
    let fetched = fetch(&reference, args.layout.as_deref(), &args.remote, ui)?;
    let code = code(args);
    if code.is_none() && resource != Resource::Envoy {
        loadable(&fetched, consumer, version, &reference)?;
    }
    let child = fetched.child.as_ref();
    let found = child.and_then(|c| Some((c, c.found()?)));
    let Some((child, found)) = found else {
        return Err(Failure::new(Code::BadImage, format!("no module in {reference}"))
            .run(format!("tamis inspect oci://{reference}")));
    };
    let module = Module::read(found.wasm);
    let root_id = args.root_id.clone().or_else(|| child.manifest.annotations.get(ROOT_ID).cloned());
    let deployment = deployment(args, &reference, (&child.digest, &module.sha256), root_id, version)?;
    let (value, remarks) = render(resource, &deployment).map_err(refused)?;
    for remark in &remarks {
        ui.warn(&line(remark));
    }
    if ui.json() {
        let remarks: Vec<_> = remarks.iter().map(|r| json!({"lint": r.lint.id(), "text": r.text})).collect();
        ui.json_line(&json!({
            "event": "manifest", "resource": value, "warnings": remarks, "digest": child.digest,
            "wasm_sha256": module.sha256.hex(),
        }))?;
    } else {
        ui.data(&yaml(&value)?)?;
    }
    Ok(Exit::Ok)
}

/// Who will load it, and which version was asked for.
fn consumer(args: &ManifestArgs, resource: Resource) -> Result<(Consumer, Option<&'static str>)> {
    let own = if resource == Resource::EnvoyExtensionPolicy { "envoy-gateway" } else { "istio" };
    let text = args.target.as_deref().unwrap_or(own);
    let unknown =
        |why: String| Failure::new(Code::Usage, format!("no target `{text}` for this kind")).hint(why);
    let (consumer, version) = Consumer::named(text).map_err(unknown)?;
    if consumer.id != own {
        return Err(unknown(format!("this kind is for `{own}`")));
    }
    Ok((consumer, version))
}

fn loadable(
    fetched: &Fetched,
    consumer: Consumer,
    version: Option<&str>,
    reference: &Reference,
) -> Result<()> {
    let mut opinion = consumer.judge(version, fetched);
    // What is written pins the child of an index, not the index.
    opinion.findings.retain(|f| f.rule != tamis_oci::consumers::Rule::PinnedIndex);
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

fn deployment(
    args: &ManifestArgs,
    reference: &Reference,
    (digest, wasm): (&Digest, &Digest),
    root_id: Option<String>,
    version: Option<&str>,
) -> Result<Deployment> {
    let last = reference.repository.rsplit('/').next().unwrap_or_default();
    // Repositories may have `.` and `_`, resources may not.
    let name = args.name.clone().unwrap_or_else(|| last.replace(['.', '_'], "-"));
    let config = match &args.config {
        None => None,
        Some(given) => {
            let bytes = config_bytes(given)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::new(Code::BadConfig, "the configuration is no UTF-8 text"))?;
            Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
    };
    Ok(Deployment {
        name,
        namespace: args.namespace.clone(),
        image: reference.clone(),
        digest: digest.clone(),
        wasm: wasm.clone(),
        code: code(args),
        root_id: root_id.unwrap_or_default(),
        config,
        scope: Scope {
            selector: args.selector.iter().cloned().collect(),
            targets: args.target_ref.iter().map(|t| t.0.clone()).collect(),
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
    })
}

fn line(remark: &Remark) -> String {
    format!("{} [{}]", safe(&remark.text), remark.lint.id())
}

/// All broken rules in one failure.
fn refused(remarks: Vec<Remark>) -> Failure {
    let broken: Vec<_> = remarks.iter().filter(|r| r.breaks).collect();
    let text: Vec<_> = broken.iter().map(|r| line(r)).collect();
    let failure = Failure::new(Code::BadDeployment, text.join("; "));
    broken.iter().fold(failure, |failure, r| failure.run(format!("tamis explain {}", r.lint.id())))
}

/// As YAML; what the values are stays what they are. A pinned address stays on one line, to be searched for.
fn yaml(value: &Value) -> Result<String> {
    serde_saphyr::to_string_with_options(value, serde_saphyr::ser_options! { prefer_block_scalars: false })
        .map(|text| if text.ends_with('\n') { text } else { text + "\n" })
        .map_err(|e| Failure::because(Code::Internal, "cannot write YAML", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_reads_back_as_what_was_written_40() {
        let texts = [
            "",
            " ",
            "yes",
            "no",
            "on",
            "null",
            "~",
            "true",
            "0755",
            "0x1F",
            "1e3",
            "1.5",
            ".inf",
            ".nan",
            "-",
            "- x",
            "a: b",
            "a #b",
            "#",
            "@x",
            "*x",
            "&x",
            "!x",
            "%x",
            "'",
            "\"",
            "\\",
            "{",
            "[",
            "a\nb",
            "a\n\n",
            "\ta",
            "2026-01-01",
            "12:30:45",
            "=",
            "<<",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{7}",
            "é",
            "a\r\nb",
            " lead",
            "trail ",
            "|",
            ">",
            "? x",
            ": x",
            "---",
            "...",
            "a: |\n  b\n",
            "\u{10ffff}",
        ];
        let list: Vec<Value> = texts.iter().map(|t| json!(t)).collect();
        let keys: serde_json::Map<_, _> = texts.iter().map(|t| ((*t).to_owned(), json!(t))).collect();
        let value = json!({"list": list, "keys": keys, "numbers": [0, -1, 1.5, 1u64 << 63], "other": [null, true, {}, []]});
        let text = yaml(&value).unwrap();
        let back: Value = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(back, value, "{text}");
    }
}
