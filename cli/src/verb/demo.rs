//! `tamis demo`: three filters as one chain on bundled traffic.

use super::play::{Play, Select, engine, start};
use crate::args::{DemoArgs, SelectArgs};
use crate::build::{self, Request};
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::plan::{FilterPlan, HostPlan, Source};
use crate::report::{Files, Filter, Reports};
use crate::ui::Ui;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::redact::Secrets;

/// Recorded calls of Google's Online Boutique, length-delimited Envoy tap, gzipped.
const CAPTURE: &[u8] = include_bytes!("../../../tests/captures/boutique.pb_length_delimited.gz");

/// Name of the capture on screen.
const CAPTURE_NAME: &str = "boutique";

/// Differences that the tour shows.
const SHOW: usize = 8;

/// The stations: package, what it does in the tour, its configuration.
const STATIONS: &[(&str, &str, &str)] = &[
    (
        "header-routing",
        "marks the calls of gold-tier users for version 2",
        include_str!("../../demo/header-routing.json"),
    ),
    ("auth", "lets nobody pay without a token", include_str!("../../demo/auth.json")),
    ("rate-limit", "slows down who asks too often", include_str!("../../demo/rate-limit.json")),
];

pub(super) fn run(args: &DemoArgs, ui: &mut Ui) -> Result<Exit> {
    let engine = engine(ui)?;
    let sources = sources(args.filters.as_deref(), ui)?;
    let mut builder = HostPlan::default().builder(&engine);
    let mut filters = Vec::new();
    for (source, (name, story, config)) in sources.into_iter().zip(STATIONS) {
        ui.status("Filter", &format!("{name}: {story}"));
        let plan = FilterPlan {
            name: (*name).to_owned(),
            config: Some(config.as_bytes().to_vec()),
            ..FilterPlan::new(source)
        };
        let loaded = plan.load(&engine, &Request::default(), ui)?;
        let abi = loaded.spec.module.facts().abi.to_string();
        filters.push(Filter { name: (*name).to_owned(), size: loaded.size, abi });
        builder = builder.filter(loaded.spec);
    }
    let stage = start(builder, ui)?;
    let mut reader = read::from_reader(Cursor::new(CAPTURE), &ReadOptions::default())
        .map_err(super::replay::unreadable)?;
    ui.status("Replaying", "recorded calls of Online Boutique through the chain");
    let mut reports = Reports::open(ui, &[])?;
    let play = Play {
        select: &Select::new(&SelectArgs { condition: None, limit: args.limit })?,
        filters: &filters,
        files: Files::named(CAPTURE_NAME),
        show: SHOW,
        secrets: Secrets::Redact,
        reports: &mut reports,
        injected: None,
        covering: None,
    };
    let played = play.run(Box::new(stage), &mut reader, ui)?;
    reports.finish()?;
    if played.summary.interrupted {
        return Ok(Exit::Interrupted);
    }
    if let Some(failure) = played.unreadable.into_iter().next() {
        return Err(failure);
    }
    ui.hint(
        "next: `tamis new NAME` makes a filter of your own, `tamis replay CAPTURE` plays your own traffic",
    );
    Ok(if played.summary.broke() { Exit::Findings } else { Exit::Ok })
}

/// The modules: from the folder that was named, else built from the workspace around.
fn sources(folder: Option<&Path>, ui: &mut Ui) -> Result<Vec<Source>> {
    if let Some(folder) = folder {
        return STATIONS.iter().map(|(name, ..)| Ok(Source::Wasm(module(folder, name)?))).collect();
    }
    let names: Vec<String> = STATIONS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    if build::packages(Path::new("."), &names).is_err() {
        let failure = Failure::new(
            Code::NoFilters,
            "the tour needs its three filters, and this is not a clone of tamis",
        );
        return Err(failure
            .hint("in a clone of tamis run `cargo xtask demo`")
            .hint("or name a folder with them: `tamis demo --filters FOLDER`"));
    }
    let request = Request { packages: names.clone(), ..Request::default() };
    let built = build::all(Path::new("."), &request, ui)?;
    names
        .iter()
        .map(|name| {
            let found = built.iter().find(|b| b.name == *name).map(|b| Source::Wasm(b.wasm.clone()));
            found.ok_or_else(|| Failure::new(Code::Internal, format!("`{name}` was not built")))
        })
        .collect()
}

/// The file of a filter, as cargo or as `tamis build` names it.
fn module(folder: &Path, name: &str) -> Result<PathBuf> {
    let names = [format!("{}.wasm", name.replace('-', "_")), format!("{name}.wasm")];
    let found = names.iter().map(|n| folder.join(n)).find(|p| p.is_file());
    found.ok_or_else(|| {
        let text = format!("no `{}` in `{}`", names[0], folder.display());
        Failure::new(Code::NoFilters, text).hint("in a clone of tamis run `cargo xtask demo`")
    })
}
