//! `tamis capture show`.

use super::walk;
use crate::args::CaptureArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::report::{Files, tally_details, tally_line};
use crate::ui::{Paint, Tone, Ui};
use std::fmt::Write as _;
use tamis_traffic::redact::{self, Secrets};
use tamis_traffic::write::JsonLines;
use tamis_traffic::{Exchange, Headers, Message, Provenance};

/// Bytes of a body that are shown; the rest is counted.
const BODY_SHOWN: usize = 400;

pub(super) fn run(args: &CaptureArgs, ui: &mut Ui) -> Result<Exit> {
    let secrets = if args.secrets { Secrets::Show } else { Secrets::Redact };
    let paint = ui.paint();
    let json = ui.json();
    let walked = walk(args, |exchange, files| {
        if json {
            if secrets == Secrets::Redact {
                hide(exchange);
            }
            let mut lines = JsonLines::new(Vec::new());
            lines.write(exchange)?;
            return ui.data(&String::from_utf8_lossy(&lines.finish()?));
        }
        let text = readable(exchange, files, secrets, paint);
        ui.data(&text)
    })?;
    let tally = walked.reader.tally();
    ui.note(&tally_line(tally, walked.unselected));
    for line in tally_details(tally, |p| walked.files.place(p)) {
        ui.note(&line);
    }
    walked.exit()
}

/// Takes the secrets out of the headers of an exchange.
fn hide(exchange: &mut Exchange) {
    for message in [exchange.request.get_mut(), exchange.response.get_mut()].into_iter().flatten() {
        hide_headers(&mut message.headers);
        if let Some(trailers) = message.trailers.get_mut() {
            hide_headers(trailers);
        }
    }
}

fn hide_headers(headers: &mut Headers) {
    let hidden: Headers = headers
        .iter()
        .map(|(name, value)| (name.to_vec(), redact::redact_value(name, value).into_owned()))
        .collect();
    *headers = hidden;
}

fn readable(exchange: &Exchange, files: &Files, secrets: Secrets, paint: Paint) -> String {
    let mut text = String::new();
    let mut facts = vec![files.place(&exchange.place)];
    facts.extend(exchange.started.map(crate::time::show));
    facts.extend(exchange.duration.map(|d| format!("{:.1} ms", d as f64 / 1e6)));
    facts.push(super::stats::protocol(exchange.protocol).to_owned());
    match exchange.provenance {
        Provenance::Recorded => {}
        Provenance::Derived => facts.push("with restored parts".to_owned()),
        Provenance::Synthesised => facts.push("synthesised".to_owned()),
    }
    facts.extend(exchange.gaps.iter().map(|g| crate::report::gap_word(*g).to_owned()));
    let head = paint.tone(Tone::Strong, &format!("#{}", exchange.place.number));
    let _ = writeln!(text, "{head} {}", paint.tone(Tone::Faint, &facts.join(" · ")));
    for (mark, half) in [(">", exchange.request.get()), ("<", exchange.response.get())] {
        match half {
            Some(message) => show_message(&mut text, mark, message, secrets),
            None => {
                let _ = writeln!(text, "{mark} (not recorded)");
            }
        }
    }
    text.push('\n');
    text
}

fn show_message(text: &mut String, mark: &str, message: &Message, secrets: Secrets) {
    let fields = |text: &mut String, headers: &Headers| {
        for (name, value) in headers.iter() {
            let _ = writeln!(text, "{mark} {}: {}", redact::show(name), redact::value(name, value, secrets));
        }
    };
    fields(text, &message.headers);
    let body = &message.body;
    if !body.bytes.is_empty() || body.truncated {
        let cut = if body.truncated { ", cut by the recording" } else { "" };
        let _ = writeln!(text, "{mark} body of {} bytes{cut}", body.bytes.len());
        // A body may hold anything: it is shown only when asked for with its secrets.
        if secrets == Secrets::Show {
            let end = body.bytes.len().min(BODY_SHOWN);
            let _ = writeln!(text, "{mark}   {}", redact::show(&body.bytes[..end]));
        }
    }
    if let Some(trailers) = message.trailers.get() {
        let _ = writeln!(text, "{mark} trailers");
        fields(text, trailers);
    }
}
