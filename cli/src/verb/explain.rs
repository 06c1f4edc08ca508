//! `tamis explain`.

use crate::args::ExplainArgs;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::plan::nearest;
use crate::ui::Ui;
use serde_json::json;
use tamis_oci::consumers::Rule;
use tamis_oci::deploy::Lint;
use tamis_traffic::FaultKind;

pub(super) fn run(args: &ExplainArgs, ui: &mut Ui) -> Result<Exit> {
    match args.code.as_deref() {
        None => list(ui),
        Some("exit-codes") => exit_codes(ui),
        Some(code) => one(code, ui),
    }?;
    Ok(Exit::Ok)
}

fn one(code: &str, ui: &mut Ui) -> Result<()> {
    if let Some(known) = Code::ALL.iter().find(|c| c.name() == code) {
        let exit = known.exit();
        let meaning = format!("exit code {}: {}", exit.code(), exit.meaning());
        return say(ui, code, known.text(), &meaning);
    }
    if let Some(kind) = FaultKind::ALL.iter().find(|k| k.code() == code) {
        let blame = format!("{:?}", kind.blame()).to_lowercase();
        return say(ui, code, fault(*kind), &format!("whose fault: the {blame}'s"));
    }
    if let Some(rule) = Rule::ALL.iter().find(|r| r.id() == code) {
        return say(
            ui,
            code,
            rule.text(),
            "a rule of those who load images; `tamis inspect oci://REF` names it",
        );
    }
    if let Some(lint) = Lint::ALL.iter().find(|l| l.id() == code) {
        return say(ui, code, lint.text(), "a rule for what `tamis manifest` writes");
    }
    let known: Vec<&str> = names().collect();
    let failure = Failure::new(Code::Usage, format!("no code `{code}`"));
    Err(match nearest(code, &known) {
        Some(near) => failure.run(format!("tamis explain {near}")),
        None => failure.run("tamis explain"),
    })
}

fn say(ui: &mut Ui, code: &str, text: &str, more: &str) -> Result<()> {
    if ui.json() {
        return ui.json_line(&json!({"event": "explain", "code": code, "text": text, "more": more}));
    }
    ui.data(&format!("{code}\n\n{text}\n\n{more}\n"))
}

fn names() -> impl Iterator<Item = &'static str> {
    let errors = Code::ALL.iter().map(|c| c.name());
    let faults = FaultKind::ALL.iter().map(|k| k.code());
    errors
        .chain(faults)
        .chain(Rule::ALL.iter().map(|r| r.id()))
        .chain(Lint::ALL.iter().map(|l| l.id()))
        .chain(["exit-codes"])
}

fn list(ui: &mut Ui) -> Result<()> {
    if ui.json() {
        for name in names() {
            ui.json_line(&json!({"event": "code", "code": name}))?;
        }
        return Ok(());
    }
    let codes: Vec<_> = Code::ALL.iter().map(|c| format!("  {}\n", c.name())).collect();
    let faults: Vec<_> = FaultKind::ALL.iter().map(|k| format!("  {}\n", k.code())).collect();
    let rules: Vec<_> = Rule::ALL.iter().map(|r| format!("  {}\n", r.id())).collect();
    let lints: Vec<_> = Lint::ALL.iter().map(|l| format!("  {}\n", l.id())).collect();
    ui.data(&format!(
        "errors\n{}\nkinds of faults\n{}\nrules for images\n{}\nrules for manifests\n{}\nand `exit-codes`\n",
        codes.concat(),
        faults.concat(),
        rules.concat(),
        lints.concat()
    ))
}

fn exit_codes(ui: &mut Ui) -> Result<()> {
    for exit in Exit::ALL {
        let meaning = exit.meaning().trim();
        if ui.json() {
            ui.json_line(&json!({"event": "exit-code", "exit": exit.code(), "meaning": meaning}))?;
        } else {
            ui.data(&format!("{:>4}  {meaning}\n", exit.code()))?;
        }
    }
    Ok(())
}

/// What a kind of fault means and what usually helps.
fn fault(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Trap => {
            "The filter's code stopped: a panic, `unreachable`, a division by zero, an access outside its memory. \
             In Envoy its VM is dead from then on, and the failure policy decides about all later requests. \
             The filter's last log lines (`--verbose`) usually hold the panic message."
        }
        FaultKind::OutOfFuel => {
            "One callback used more fuel than `--fuel-limit` allows, most likely a loop without end. Envoy has no \
             such limit: there the worker thread would hang, and with it all its connections."
        }
        FaultKind::OutOfMemory => "The filter wanted more memory than `--memory-limit` and gave up.",
        FaultKind::DeadVm => {
            "The filter broke at an earlier exchange and its VM is dead; `--policy` says what happens then. \
             The first fault of the run is the one to look at."
        }
        FaultKind::WouldCrash => {
            "The filter did something in a phase in which a real Envoy crashes: it sent a reply or closed the \
             stream while that is being logged, done or deleted, or resumed a response that has not begun."
        }
        FaultKind::WouldHang => {
            "A callout could not start (its cluster has no hosts), and in the same callback Envoy called the filter \
             from inside a host function: for a gRPC stream to a cluster without hosts, or for an address to resolve. \
             A worker of Envoy then loops for ever. Ask once, and stop asking when it fails."
        }
        FaultKind::WouldDuplicate => {
            "The filter resumed the stream from inside the very callback that should pause it. Envoy then sends \
             the stream on twice or never. Return the right action instead."
        }
        FaultKind::Stuck => {
            "The filter paused the stream, and no callout, timer or body is left that could resume it. In Envoy \
             the client waits for the idle timeout and gets 504."
        }
        FaultKind::BufferLimit => {
            "The filter holds back more of a body than Envoy keeps (`per_connection_buffer_limit_bytes`, 1 MiB \
             unless set). Envoy answers 413 for a request, 500 for a response, and resets the stream when the \
             response headers are out already. Let pieces go, or hold them with a watermark."
        }
        FaultKind::LateReply => {
            "The filter sent a reply after the response headers had left. Envoy cannot send it and resets the \
             stream: the client sees a response that breaks off."
        }
        FaultKind::BodyLength => {
            "The body has another length than `content-length` says. That breaks the connection, and lets requests \
             be smuggled. Remove the header, or set it, when a filter changes a body."
        }
        FaultKind::BadHeaders => {
            "The headers cannot be sent: `:method`, `:path` or another needed field is gone, or a value has a \
             byte that the protocol forbids. Envoy answers 503 or resets."
        }
        FaultKind::UnansweredCallout => {
            "The filter called another service, and this run has no answer for it. A traffic test answers \
             under `callouts:`, a replay from the captures of `--callouts`; without an answer the call times out."
        }
        FaultKind::InjectedTrap => {
            "The filter was made to trap (`--inject trap@PHASE:N`). That is no bug of the filter; what clients get \
             from then on under `--policy` is what the report shows."
        }
        FaultKind::InjectedOutOfMemory => {
            "The filter was given no memory (`--inject oom`), wanted some, and broke as it would at its limit. That \
             is no bug of the filter."
        }
        FaultKind::InjectedDeadVm => {
            "An injected fault killed the filter's VM at an earlier exchange; `--policy` says what happens then. \
             Under `closed` every later request gets 503, as it would in Envoy."
        }
        FaultKind::ClientAbort => {
            "The client was made to leave in the middle (`--inject client-abort`). Envoy ends the stream with the \
             filter's log, done and delete callbacks; answers to its callouts still arrive."
        }
        FaultKind::NotPlayable => "The exchange lacks what playing needs, most often the request half.",
        FaultKind::NotSupported => {
            "The filter asked for something that Envoy has and tamis has not; the fault names it. The exchange says \
             nothing about the filter."
        }
        FaultKind::Internal => "A bug of tamis. Please report it with the capture, if it can be shared.",
    }
}
