//! `tamis config`: what a filter takes, and whether it takes a configuration.
//!
//! The filter itself reads it, by the code that ships: no second reading of a schema that could say otherwise.

use super::play;
use crate::args::ConfigVerb;
use crate::build::{Request, SCHEMA_SECTION};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::plan::{FilterPlan, Source, read_file};
use crate::ui::Ui;
use serde_json::{Value, json};
use std::path::Path;
use tamis_host::{ModuleFacts, Stage};

pub(super) fn run(verb: &ConfigVerb, ui: &mut Ui) -> Result<Exit> {
    match verb {
        ConfigVerb::Check { file, filter } => check(file, filter, ui),
        ConfigVerb::Schema { filter } => print(filter, ui),
    }
}

fn check(file: &Path, filter: &Path, ui: &mut Ui) -> Result<Exit> {
    let config = read_file(file)?;
    let engine = play::engine(ui)?;
    let plan = FilterPlan { config: Some(config), ..FilterPlan::new(Source::find(filter)?) };
    let loaded = plan.load(&engine, &Request::default(), ui)?;
    let name = loaded.spec.name.clone();
    play::start(Stage::builder(&engine).filter(loaded.spec), ui)?;
    let file = file.display().to_string();
    if ui.json() {
        ui.json_line(&json!({"event": "config", "file": file, "filter": name, "accepted": true}))?;
    } else {
        ui.data(&format!("{file}: filter `{name}` takes it\n"))?;
    }
    Ok(Exit::Ok)
}

fn print(filter: &Path, ui: &mut Ui) -> Result<Exit> {
    let engine = play::engine(ui)?;
    let loaded = FilterPlan::new(Source::find(filter)?).load(&engine, &Request::default(), ui)?;
    let name = &loaded.spec.name;
    let facts = tamis_host::inspect(&loaded.wasm).map_err(|e| crate::plan::bad_module(name, e))?;
    let Some(schema) = schema(&facts) else {
        let failure = Failure::new(Code::NoSchema, format!("filter `{name}` carries no schema"));
        return Err(failure.hint(
            "`#[derive(schemars::JsonSchema)]` on its configuration, and `tamis build` puts the schema in",
        ));
    };
    if ui.json() {
        ui.json_line(&json!({"event": "schema", "filter": name, "schema": schema}))?;
    } else {
        ui.data(&format!("{schema:#}\n"))?;
    }
    Ok(Exit::Ok)
}

/// The schema that `tamis build` wrote into the module.
pub(super) fn schema(facts: &ModuleFacts) -> Option<Value> {
    let (_, content) = facts.custom_sections.iter().find(|(name, _)| name == SCHEMA_SECTION)?;
    serde_json::from_slice(content).ok()
}
