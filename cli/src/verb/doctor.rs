//! `tamis doctor`: looks, tells, and repairs when asked.

mod probes;

use crate::args::DoctorArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::{Tone, Ui};
use serde_json::json;

/// Something worth knowing about this machine.
pub(super) struct Finding {
    /// Stable name.
    pub(super) code: &'static str,
    pub(super) level: Level,
    /// One line.
    pub(super) text: String,
    pub(super) fix: Option<Fix>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// All right.
    Fine,
    /// Something optional is not there.
    Note,
    /// Something needed is not there.
    Bad,
}

/// A command that helps. Running it is left to `--fix`.
pub(super) struct Fix {
    pub(super) program: &'static str,
    pub(super) args: Vec<String>,
}

impl Fix {
    fn shown(&self) -> String {
        format!("{} {}", self.program, self.args.join(" "))
    }

    /// Runs it; the error says why it did not help.
    fn run(&self) -> Result<(), String> {
        match std::process::Command::new(self.program).args(&self.args).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("no message").to_owned();
                Err(format!("`{}` failed: {last}", self.shown()))
            }
            Err(e) => Err(format!("cannot start `{}`: {e}", self.program)),
        }
    }
}

/// One thing to look at.
pub(super) trait Probe {
    fn look(&self) -> Vec<Finding>;
}

pub(super) fn run(args: &DoctorArgs, ui: &mut Ui) -> Result<Exit> {
    let mut bad = 0;
    for probe in probes::all() {
        for finding in probe.look() {
            let mut level = finding.level;
            show(&finding, ui)?;
            if let Some(fix) = &finding.fix {
                if args.fix {
                    ui.status("Fixing", &fix.shown());
                    match fix.run() {
                        Ok(()) => {
                            let again = probe.look();
                            for finding in &again {
                                show(finding, ui)?;
                            }
                            if again.iter().all(|f| f.level != Level::Bad) {
                                level = Level::Fine;
                            }
                        }
                        Err(why) => ui.warn(&why),
                    }
                } else {
                    ui.hint(&format!("run `{}`, or `tamis doctor --fix`", fix.shown()));
                }
            }
            bad += u32::from(level == Level::Bad);
        }
    }
    Ok(if bad == 0 { Exit::Ok } else { Exit::Findings })
}

fn show(finding: &Finding, ui: &mut Ui) -> Result<()> {
    let (tone, word) = match finding.level {
        Level::Fine => (Tone::Good, "fine"),
        Level::Note => (Tone::Faint, "note"),
        Level::Bad => (Tone::Bad, "bad"),
    };
    if ui.json() {
        let fix = finding.fix.as_ref().map(Fix::shown);
        return ui.json_line(&json!({"event": "finding", "code": finding.code, "level": word, "text": finding.text, "fix": fix}));
    }
    let word = ui.paint().tone(tone, &format!("{word:>4}"));
    ui.data(&format!("{word}  {:<12}  {}\n", finding.code, finding.text))
}
