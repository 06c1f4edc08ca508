//! The one door to the terminal: stdout is data, stderr is talk.

use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How data is written on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line, flushed as things happen.
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set; anywhere when `CLICOLOR_FORCE` is.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Colours with a meaning; a word always carries the meaning too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Done, passed.
    Good,
    /// Worth a look.
    Warn,
    /// Failed.
    Bad,
    /// A title.
    Strong,
    /// Beside the point.
    Faint,
}

impl Tone {
    const fn ansi(self) -> &'static str {
        match self {
            Tone::Good => "\x1b[1;32m",
            Tone::Warn => "\x1b[1;33m",
            Tone::Bad => "\x1b[1;31m",
            Tone::Strong => "\x1b[1m",
            Tone::Faint => "\x1b[2m",
        }
    }
}

/// Whether one of the two streams gets colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint(bool);

impl Paint {
    /// Never colours: files and tests.
    pub const PLAIN: Self = Self(false);

    fn decide(choice: ColorChoice, tty: bool, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).is_some_and(|v| !v.is_empty() && v != "0");
        Self(match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if env("NO_COLOR").is_some_and(|v| !v.is_empty()) => false,
            ColorChoice::Auto => set("CLICOLOR_FORCE") || tty,
        })
    }

    /// `text` in this tone.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        if self.0 { format!("{}{text}\x1b[0m", tone.ansi()) } else { text.to_owned() }
    }
}

/// What the user asked of every command.
#[derive(Debug, Clone, Copy, Default)]
pub struct UiOptions {
    /// Human or JSON.
    pub format: Format,
    /// Colours.
    pub color: ColorChoice,
    /// Only errors on stderr.
    pub quiet: bool,
    /// More talk.
    pub verbose: bool,
}

/// Everything that is written to the terminal goes through here.
pub struct Ui {
    out: io::Stdout,
    err: io::Stderr,
    options: UiOptions,
    out_paint: Paint,
    err_paint: Paint,
    err_tty: bool,
    opened: bool,
}

impl Ui {
    /// A face on the real terminal.
    pub fn new(options: UiOptions) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let env = |name: &str| std::env::var(name).ok();
        let out_paint = Paint::decide(options.color, out.is_terminal(), &env);
        let err_tty = err.is_terminal();
        let err_paint = Paint::decide(options.color, err_tty, &env);
        Self { out, err, options, out_paint, err_paint, err_tty, opened: false }
    }

    /// True when stdout takes JSON lines.
    pub fn json(&self) -> bool {
        self.options.format == Format::Json
    }

    /// True when `--verbose` was given.
    pub fn verbose(&self) -> bool {
        self.options.verbose
    }

    /// The colours of stdout.
    pub fn paint(&self) -> Paint {
        self.out_paint
    }

    /// Data for people on stdout, as it is.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn data(&mut self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// One JSON object on stdout. The first line of a run names the version of the format.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn json_line(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        self.open_json()?;
        let mut out = self.out.lock();
        writeln!(out, "{value}")?;
        out.flush()?;
        Ok(())
    }

    /// Writes the first line of JSON output, once.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn open_json(&mut self) -> Result<(), Failure> {
        if !self.opened {
            self.opened = true;
            writeln!(self.out.lock(), "{}", first_line())?;
        }
        Ok(())
    }

    /// Stdout, for renderers of reports.
    pub fn stdout(&self) -> io::Stdout {
        io::stdout()
    }

    /// A status line in cargo's shape: a verb, right-aligned, and what it is done to.
    pub fn status(&mut self, verb: &str, text: &str) {
        if !self.options.quiet {
            let verb = self.err_paint.tone(Tone::Good, &format!("{verb:>12}"));
            self.talk(&format!("{verb} {text}"));
        }
    }

    /// A warning.
    pub fn warn(&mut self, text: &str) {
        let word = self.err_paint.tone(Tone::Warn, "warning");
        self.talk(&format!("{word}: {text}"));
    }

    /// A remark.
    pub fn note(&mut self, text: &str) {
        if !self.options.quiet {
            let word = self.err_paint.tone(Tone::Strong, "note");
            self.talk(&format!("{word}: {text}"));
        }
    }

    /// Advice.
    pub fn hint(&mut self, text: &str) {
        if !self.options.quiet {
            let word = self.err_paint.tone(Tone::Strong, "hint");
            self.talk(&format!(" {word}: {text}"));
        }
    }

    /// A failure: what failed, the causes, the hints; and the same as data under `--format json`.
    pub fn failure(&mut self, failure: &Failure) {
        let word = self.err_paint.tone(Tone::Bad, &format!("error[{}]", failure.code.name()));
        self.talk(&format!("{word}: {}", failure.headline()));
        for cause in failure.causes() {
            self.talk(&format!("  caused by: {cause}"));
        }
        for hint in &failure.hints {
            let word = self.err_paint.tone(Tone::Strong, "hint");
            self.talk(&format!("  {word}: {hint}"));
        }
        if self.json() {
            let hints: Vec<String> = failure.hints.iter().map(ToString::to_string).collect();
            let line = serde_json::json!({
                "event": "error", "code": failure.code.name(), "exit": failure.code.exit().code(),
                "message": failure.headline(), "causes": failure.causes(), "hints": hints,
            });
            // A closed stdout is no reason to lose the first failure.
            let _ = self.json_line(&line);
        }
    }

    /// A line on stderr. A closed stderr is nobody's loss.
    pub fn talk(&mut self, line: &str) {
        let _ = writeln!(self.err.lock(), "{line}");
    }

    /// A progress bar on a terminal, else nothing. `bytes` is the length of the work, when known.
    pub fn progress(&self, what: &str, bytes: Option<u64>) -> ProgressBar {
        if !self.err_tty || self.options.quiet {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr_with_hz(10));
        let shape = match bytes {
            Some(_) => "{prefix:>12.bold.green} [{bar:30}] {percent}% {msg}",
            None => "{prefix:>12.bold.green} {spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// The first line of everything that is written as JSON lines.
pub fn first_line() -> serde_json::Value {
    serde_json::json!({ "tamis": 1, "event": "version", "version": env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(choice: ColorChoice, tty: bool, vars: &[(&str, &str)]) -> bool {
        let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Paint::decide(choice, tty, &env) == Paint(true)
    }

    #[test]
    fn the_flag_wins_then_no_color_then_force_then_the_terminal() {
        assert!(painted(ColorChoice::Always, false, &[("NO_COLOR", "1")]));
        assert!(!painted(ColorChoice::Never, true, &[("CLICOLOR_FORCE", "1")]));
        assert!(!painted(ColorChoice::Auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(painted(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!painted(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(painted(ColorChoice::Auto, true, &[("NO_COLOR", "")]));
    }
}
