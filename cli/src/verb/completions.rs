//! `tamis completions`.

use crate::args::{CompletionsArgs, command};
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::Ui;

pub(super) fn run(args: &CompletionsArgs, ui: &mut Ui) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "tamis", &mut script);
    ui.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
