//! Repository chores: `cargo xtask setup | test | demo | bench | fuzz | fuzz-engines`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the terminal directly")]

mod apt;
mod bench;
mod demo;
mod envoy;
mod fuzz;
mod fuzz_engines;
mod generate;
mod kustomize;
mod mdbook;
mod place;
mod registry;
mod run;
mod sysroot;
mod target;
mod test;
mod wheel;

use anyhow::Result;
use clap::{Parser, Subcommand};
use place::Place;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Repository chores of Tamis")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Make the wasm targets, a real Envoy, a real registry and what the tests need beside them ready. Safe to repeat.
    Setup {
        /// Only the wasm targets.
        #[arg(long)]
        targets_only: bool,
    },
    /// Everything that must hold before a change lands; what CI runs.
    Test,
    /// From nothing to a replay of recorded traffic on screen.
    Demo {
        /// Passed on to `tamis demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Speed against the floor and against a real Envoy; prints ratios.
    Bench,
    /// Throws shaped bytes at every parser and at the host. Fails with the first find.
    Fuzz {
        /// One target of `fuzz/`; all of them, one after another, unless said.
        target: Option<String>,
        /// Time for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Random scripts and requests on the test host and on a real Envoy, compared.
    FuzzEngines(fuzz_engines::Plan),
}

fn main() -> Result<()> {
    if let Some(compiled) = fuzz::compile() {
        std::process::exit(compiled?.code().unwrap_or(1));
    }
    let args = Args::parse();
    let place = Place::find()?;
    match args.chore {
        Chore::Setup { targets_only } => {
            target::ready(&place)?;
            if !targets_only {
                envoy::ready(&place)?;
                registry::ready(&place)?;
                kustomize::ready(&place)?;
                mdbook::ready(&place)?;
                generate::ready(&place)?;
            }
            Ok(())
        }
        Chore::Test => test::run(&place),
        Chore::Demo { rest } => demo::run(&place, &rest),
        Chore::Bench => bench::run(&place),
        Chore::Fuzz { target, seconds } => fuzz::run(&place, target.as_deref(), seconds),
        Chore::FuzzEngines(plan) => fuzz_engines::run(&place, &plan),
    }
}
