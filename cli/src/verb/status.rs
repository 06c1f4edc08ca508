//! `tamis status`.

use super::image::{Screen, safe};
use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::{Tone, Ui};
use serde_json::{Value, json};
use std::fmt::Write as _;
use tamis_oci::proxy::{self, Address, Claim, Filter, Of, Said, Source, State};

/// Most counters of filters that are shown to people.
const SHOWN: usize = 200;

pub(super) fn run(args: &StatusArgs, ui: &mut Ui) -> Result<Exit> {
    let address: Address = args.address.parse()?;
    ui.status("Asking", &address.to_string());
    let said = proxy::ask(&address, &Screen::new(ui))?;
    let filters = said.filters(&args.filter);
    let findings = findings(args, &said, &filters);
    if ui.json() {
        for filter in &filters {
            ui.json_line(&as_json(filter))?;
        }
        ui.json_line(&json!({"event": "counted", "metrics": said.stats.custom}))?;
        let server = said
            .server
            .as_ref()
            .map(|s| json!({"version": s.version, "state": s.state, "workers": s.workers}));
        ui.json_line(&json!({
            "event": "status", "proxy": server, "filters": filters.len(), "findings": findings,
        }))?;
    } else {
        let text = as_text(&said, &filters, &findings, ui);
        ui.data(&text)?;
    }
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Findings })
}

/// What does not hold, one line each.
fn findings(args: &StatusArgs, said: &Said, filters: &[Filter]) -> Vec<String> {
    let mut findings = said.troubles();
    if filters.is_empty() {
        findings.push("the proxy has no Wasm filter".to_owned());
    }
    for name in args.filter.iter().filter(|name| !filters.iter().any(|f| f.is(name))) {
        findings.push(format!("the proxy has no filter `{name}`"));
    }
    let meant: Vec<_> =
        filters.iter().filter(|f| args.filter.is_empty() || args.filter.iter().any(|n| f.is(n))).collect();
    for filter in &meant {
        match &filter.state {
            State::Loaded => {}
            State::NotLoaded(why) => findings.push(format!("filter `{}` is not loaded: {why}", filter.name)),
            State::Unsure(why) => findings.push(format!("filter `{}` may not be loaded: {why}", filter.name)),
        }
        let reloads = filter.reloads;
        if reloads.success + reloads.failure > 0 {
            findings.push(format!(
                "filter `{}` broke: it was started again {} times, which failed {} times and made {} requests fail",
                filter.name, reloads.success, reloads.failure, reloads.backoff
            ));
        }
    }
    if args.digest.is_empty() {
        return findings;
    }
    let has = |filter: &Filter| filter.claims.iter().any(|c| args.digest.contains(&c.digest));
    if args.filter.is_empty() {
        if !meant.iter().any(|f| has(f)) {
            findings.push("no filter has the digest that is asked for".to_owned());
        }
        return findings;
    }
    for filter in meant.into_iter().filter(|f| !has(f)) {
        let what = if filter.claims.is_empty() {
            "says of no digest which one it has: a file named after it would"
        } else {
            "has another digest"
        };
        findings.push(format!("filter `{}` {what}", filter.name));
    }
    findings
}

fn as_json(filter: &Filter) -> Value {
    let (state, why) = match &filter.state {
        State::Loaded => ("loaded", None),
        State::NotLoaded(why) => ("not-loaded", Some(why)),
        State::Unsure(why) => ("unsure", Some(why)),
    };
    let claim = |c: &Claim| json!({"of": of(c.of), "digest": c.digest, "by": c.by});
    let place = |p: &proxy::Place| json!({"listener": p.listener, "requests": p.requests.map(|r| r.0), "errors": p.requests.map(|r| r.1)});
    json!({
        "event": "filter", "name": filter.name, "plugin": filter.plugin, "root_id": filter.root_id, "state": state,
        "why": why, "code": code(&filter.source), "policy": filter.policy, "mode": filter.mode,
        "digests": filter.claims.iter().map(claim).collect::<Vec<_>>(),
        "places": filter.places.iter().map(place).collect::<Vec<_>>(),
        "reloads": {
            "success": filter.reloads.success, "failure": filter.reloads.failure, "backoff": filter.reloads.backoff,
        },
    })
}

fn of(of: Of) -> &'static str {
    match of {
        Of::Image => "image",
        Of::Module => "module",
        Of::Either => "digest",
    }
}

fn code(source: &Source) -> String {
    match source {
        Source::File(path) => format!("file {path}"),
        Source::Remote(address) => address.clone(),
        Source::Inline => "in the configuration".to_owned(),
        Source::Other => "not said".to_owned(),
    }
}

fn as_text(said: &Said, filters: &[Filter], findings: &[String], ui: &Ui) -> String {
    let paint = ui.paint();
    let strong = |t: &str| paint.tone(Tone::Strong, t);
    let mut text = String::new();
    if let Some(server) = &said.server {
        let workers = server.workers.map_or_else(String::new, |n| format!(", {n} workers"));
        let _ = writeln!(
            text,
            "{} envoy {}, {}{workers}",
            strong("proxy     "),
            safe(&server.version),
            safe(&server.state)
        );
    }
    for filter in filters {
        let _ = writeln!(text, "{} {}", strong("filter    "), safe(&filter.name));
        let state = match &filter.state {
            State::Loaded => paint.tone(Tone::Good, "loaded"),
            State::NotLoaded(why) => format!("{}: {}", paint.tone(Tone::Bad, "not loaded"), safe(why)),
            State::Unsure(why) => format!("{}: {}", paint.tone(Tone::Warn, "unsure"), safe(why)),
        };
        let _ = writeln!(text, "  state    {state}");
        for claim in &filter.claims {
            let _ = writeln!(text, "  {:<8} {} ({})", of(claim.of), claim.digest, claim.by);
        }
        if filter.source != Source::Other {
            let _ = writeln!(text, "  code     {}", safe(&code(&filter.source)));
        }
        if let Some(mode) = &filter.mode {
            let _ = writeln!(text, "  mode     {}", safe(mode));
        }
        let broke = filter.reloads.success + filter.reloads.failure;
        let _ = match filter.policy {
            Some("reload") => writeln!(text, "  policy   reload; it broke {broke} times"),
            Some(policy) => writeln!(text, "  policy   {policy}; Envoy counts no broken VMs under it"),
            None if filter.plugin.is_empty() => Ok(()),
            None => writeln!(text, "  reloads  {broke}"),
        };
        for place in &filter.places {
            let _ = write!(text, "  listener {}", safe(&place.listener));
            if let Some((all, errors)) = place.requests {
                let _ = write!(text, ", {errors} of {all} requests got 5xx");
            }
            text.push('\n');
        }
    }
    let counted: Vec<_> = said.stats.custom.iter().filter(|(_, value)| **value > 0).collect();
    if !said.stats.custom.is_empty() {
        let _ = writeln!(text, "{} {} of {}", strong("counted   "), counted.len(), said.stats.custom.len());
    }
    for (name, value) in counted.iter().take(SHOWN) {
        let _ = writeln!(text, "  {} {value}", safe(name));
    }
    for finding in findings {
        let _ = writeln!(text, "{} {}", paint.tone(Tone::Bad, "finding   "), safe(finding));
    }
    text
}
