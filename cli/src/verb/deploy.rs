//! `tamis deploy`: a rollout in steps, for others to apply.

mod ci;
mod files;

use super::manifest::{Prepared, prepare, refused, told, warn, yaml};
use crate::args::{DeployArgs, KindArg, StepArg};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::plan::config_bytes;
use crate::ui::Ui;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use tamis_oci::deploy::{NoShadow, Remark, folder, render, shadow};

pub(super) fn run(args: &DeployArgs, ui: &mut Ui) -> Result<Exit> {
    if matches!(args.manifest.kind, KindArg::Envoy | KindArg::ConsulEntry) {
        let text = "this kind is nothing that a cluster takes";
        return Err(Failure::new(Code::Usage, text).hint("`tamis manifest` writes it"));
    }
    if let Some(system) = args.ci {
        ui.data(&ci::pipeline(system, args)?)?;
        return Ok(Exit::Ok);
    }
    if !args.dry_run && args.kustomize.is_none() {
        let text = "tamis changes no cluster: it writes what others apply";
        return Err(Failure::new(Code::NoCluster, text)
            .run("tamis deploy … --dry-run --step shadow | kubectl apply -f -")
            .hint("`--kustomize FOLDER` writes a folder for `kubectl apply -k` and for Argo CD or Flux"));
    }
    let steps = steps(args, ui)?;
    match &args.kustomize {
        Some(path) => kustomize(args, path, &steps, ui)?,
        None => print(args, &steps, ui)?,
    }
    Ok(Exit::Ok)
}

/// One step of a rollout, as the cluster is told it.
struct Step {
    step: StepArg,
    name: String,
    resource: Value,
    remarks: Vec<Remark>,
}

fn steps(args: &DeployArgs, ui: &mut Ui) -> Result<Vec<Step>> {
    let settings = args.shadow.as_deref().map(settings).transpose()?;
    let prepared = prepare(&args.manifest, ui)?;
    let wanted = StepArg::ALL.into_iter().filter(|step| args.step.is_none_or(|only| only == *step));
    let mut steps = Vec::new();
    for step in wanted {
        let deployment = match step {
            StepArg::Enforce => prepared.deployment.clone(),
            StepArg::Shadow => {
                shadow(&prepared.deployment, settings.as_ref()).map_err(|why| no_shadow(&prepared, why))?
            }
        };
        // What is asked for wrongly is told before the filter is asked.
        let (resource, remarks) = render(prepared.resource, &deployment).map_err(refused)?;
        prepared.try_config(&deployment, ui)?;
        steps.push(Step { step, name: deployment.name, resource, remarks });
    }
    if let [first, second] = steps.as_slice()
        && first.resource == second.resource
    {
        return Err(Failure::new(Code::NoShadow, "both steps are the same")
            .hint("the configuration itself makes the filter only count: it would never act"));
    }
    Ok(steps)
}

/// The value of `--shadow`.
fn settings(given: &str) -> Result<Value> {
    let bytes = config_bytes(given)?;
    serde_json::from_slice::<Value>(&bytes)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| Failure::new(Code::BadConfig, "`--shadow` is no JSON object"))
}

fn no_shadow(prepared: &Prepared, why: NoShadow) -> Failure {
    let name = &prepared.deployment.name;
    let failure =
        Failure::because(Code::NoShadow, format!("filter `{name}` cannot be told to only count"), why);
    failure
        .hint("`--shadow '{\"dry_run\":true}'` says how this one is told, if it can be")
        .hint("`--step enforce` goes without; replay recorded traffic first")
}

fn print(args: &DeployArgs, steps: &[Step], ui: &mut Ui) -> Result<()> {
    if let ([_, _], false, false) = (steps, ui.json(), std::io::stdout().is_terminal()) {
        ui.note(
            "these are two steps of one resource: applied together, the second takes the first one's place at once; \
             `--step shadow` prints one",
        );
    }
    for (index, step) in steps.iter().enumerate() {
        warn(&step.remarks, ui);
        if ui.json() {
            ui.json_line(&json!({
                "event": "step", "step": step.step.name(), "resource": step.resource, "warnings": told(&step.remarks),
            }))?;
            continue;
        }
        let mark = if index == 0 { "" } else { "---\n" };
        let head = headline(step, args.step.is_none());
        ui.data(&format!("{mark}{head}{}", yaml(&step.resource)?))?;
    }
    Ok(())
}

/// What stands above a step, for whoever reads the file.
fn headline(step: &Step, both: bool) -> String {
    let number = match (both, step.step) {
        (false, _) => "",
        (true, StepArg::Shadow) => " 1 of 2",
        (true, StepArg::Enforce) => " 2 of 2",
    };
    let text = match step.step {
        StepArg::Shadow => {
            "the filter only counts what it would do, and lets traffic pass when it breaks.\n\
             # An earlier version of this name stops acting. `tamis status` shows what was counted."
        }
        StepArg::Enforce => "the filter acts.",
    };
    format!("# step{number}, {}: {text}\n", step.step.name())
}

fn kustomize(args: &DeployArgs, path: &std::path::Path, steps: &[Step], ui: &mut Ui) -> Result<()> {
    let of = |wanted| steps.iter().find(|s| s.step == wanted);
    let Some(enforce) = of(StepArg::Enforce) else {
        let text = "a Kustomize folder has the filter that acts as its base";
        return Err(Failure::new(Code::Usage, text).hint("leave `--step shadow` away"));
    };
    for step in steps {
        warn(&step.remarks, ui);
    }
    let files = folder(&enforce.name, &enforce.resource, of(StepArg::Shadow).map(|s| &s.resource));
    let mut texts = Vec::new();
    for (name, value) in &files {
        texts.push((name.as_str(), yaml(value)?));
    }
    let written = files::write(path, &texts, args.overwrite)?;
    ui.status(if written == 0 { "Unchanged" } else { "Wrote" }, &format!("{}", path.display()));
    if ui.json() {
        let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
        return ui.json_line(&json!({
            "event": "kustomize", "folder": path.display().to_string(), "files": names, "written": written,
        }));
    }
    let mut text = String::new();
    for step in steps {
        text += &format!("kubectl apply -k {}\n", path.join("overlays").join(step.step.name()).display());
    }
    ui.data(&text)
}
