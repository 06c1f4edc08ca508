//! The commands, one file each.

mod build;
mod capture;
mod completions;
mod config;
mod coverage;
mod demo;
mod deploy;
mod doctor;
mod engine;
mod explain;
mod fix;
mod image;
mod inject;
mod inspect;
mod keyless;
mod manifest;
mod new;
mod play;
mod pull;
mod push;
mod replay;
mod services;
mod sign;
mod status;
mod test;
mod verify;

pub use engine::Against;

use crate::args::Verb;
use crate::exit::Exit;
use crate::failure::Result;
use crate::ui::Ui;

/// Does what was asked.
///
/// # Errors
/// When it could not; findings are not errors but [`Exit::Findings`].
pub fn run(verb: Verb, ui: &mut Ui) -> Result<Exit> {
    match verb {
        Verb::New(args) => new::run(&args, ui),
        Verb::Build(args) => build::run(&args, ui),
        Verb::Test(args) => test::run(&args, ui),
        Verb::Replay(args) => replay::run(&args, ui),
        Verb::Inspect(args) => inspect::run(&args, ui),
        Verb::Push(args) => push::run(&args, ui),
        Verb::Manifest(args) => manifest::run(&args, ui),
        Verb::Deploy(args) => deploy::run(&args, ui),
        Verb::Status(args) => status::run(&args, ui),
        Verb::Pull(args) => pull::run(&args, ui),
        Verb::Fix(args) => fix::run(&args, ui),
        Verb::Sign(args) => sign::run(&args, ui),
        Verb::Verify(args) => verify::run(&args, ui),
        Verb::Config(verb) => config::run(&verb, ui),
        Verb::Capture(verb) => capture::run(&verb, ui),
        Verb::Doctor(args) => doctor::run(&args, ui),
        Verb::Explain(args) => explain::run(&args, ui),
        Verb::Completions(args) => completions::run(&args, ui),
        Verb::Demo(args) => demo::run(&args, ui),
    }
}
