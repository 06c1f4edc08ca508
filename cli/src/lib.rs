//! The command line of Tamis: arguments, then a plan, then the work, with every effect behind [`ui::Ui`].
//!
//! [`args`] knows clap and touches nothing else; [`plan`] merges flags, `TAMIS_*` and package metadata;
//! [`verb`] has one file per command; [`report`] turns events into text, JSON lines and JUnit. Only [`ui`]
//! and the renderers of `report` write.

pub mod args;
pub mod build;
pub mod exit;
pub mod failure;
pub mod interrupt;
pub mod plan;
pub mod report;
mod screen;
pub mod template;
pub mod time;
pub mod ui;
pub mod verb;

use exit::Exit;
use std::ffi::OsString;
use std::process::ExitCode;

/// The program: `args[0]` is its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match args::parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            // clap writes help and version to stdout, errors to stderr; a closed stream is nobody's loss.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    interrupt::listen();
    let mut ui = ui::Ui::new(cli.global.ui());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| verb::run(cli.verb, &mut ui)));
    match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            ui.failure(&failure);
            failure.code.exit()
        }
        Err(_) => {
            let text = "tamis broke; the message above says where";
            let failure = failure::Failure::new(failure::Code::Internal, text)
                .hint("please report it with the command line and the message");
            ui.failure(&failure);
            Exit::Bug
        }
    }
    .into()
}
