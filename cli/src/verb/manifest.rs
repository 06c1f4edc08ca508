//! `tamis manifest`.

mod prepare;

use super::image::safe;
use crate::args::ManifestArgs;
use crate::exit::Exit;
use crate::failure::{Code, Failure, Result};
use crate::ui::Ui;
use serde_json::{Value, json};
use tamis_oci::deploy::{Remark, Resource, render};

pub(super) use prepare::{Prepared, prepare};

pub(super) fn run(args: &ManifestArgs, ui: &mut Ui) -> Result<Exit> {
    let prepared = prepare(args, ui)?;
    prepared.try_config(&prepared.deployment, ui)?;
    let (value, remarks) = render(prepared.resource, &prepared.deployment).map_err(refused)?;
    warn(&remarks, ui);
    if ui.json() {
        ui.json_line(&json!({
            "event": "manifest", "resource": value, "warnings": told(&remarks),
            "digest": prepared.deployment.digest, "wasm_sha256": prepared.deployment.wasm.hex(),
        }))?;
    } else if prepared.resource == Resource::ConsulEntry {
        // Its reader knows JSON and a language of its own.
        ui.data(&format!("{value:#}\n"))?;
    } else {
        ui.data(&yaml(&value)?)?;
    }
    Ok(Exit::Ok)
}

pub(super) fn warn(remarks: &[Remark], ui: &mut Ui) {
    for remark in remarks {
        ui.warn(&line(remark));
    }
}

/// Warnings as data.
pub(super) fn told(remarks: &[Remark]) -> Value {
    remarks.iter().map(|r| json!({"lint": r.lint.id(), "text": r.text})).collect()
}

fn line(remark: &Remark) -> String {
    format!("{} [{}]", safe(&remark.text), remark.lint.id())
}

/// All broken rules in one failure.
pub(super) fn refused(remarks: Vec<Remark>) -> Failure {
    let broken: Vec<_> = remarks.iter().filter(|r| r.breaks).collect();
    let text: Vec<_> = broken.iter().map(|r| line(r)).collect();
    let failure = Failure::new(Code::BadDeployment, text.join("; "));
    broken.iter().fold(failure, |failure, r| failure.run(format!("tamis explain {}", r.lint.id())))
}

/// As YAML; what the values are stays what they are. A pinned address stays on one line, to be searched for.
pub(super) fn yaml(value: &Value) -> Result<String> {
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
