//! `cargo xtask demo`: from nothing to a replay of recorded traffic on screen.

use crate::place::Place;
use crate::{run, target, test};
use anyhow::Result;

/// Makes the target ready, builds the tool and the filters, and lets `tamis demo` play.
pub(crate) fn run(place: &Place, rest: &[String]) -> Result<()> {
    target::ready(place)?;
    println!("demo: building `tamis` and the filters");
    run::show(&mut place.cargo(&["build", "--quiet", "--release", "-p", "tamis", "--bin", "tamis"]))?;
    test::filters(place, target::DEFAULT)?;
    let wasm = place.target.join(target::DEFAULT).join(target::PROFILE);
    let tamis = place.target.join("release/tamis");
    run::show(
        std::process::Command::new(tamis)
            .arg("demo")
            .arg("--filters")
            .arg(wasm)
            .args(rest)
            .current_dir(&place.root),
    )
}
