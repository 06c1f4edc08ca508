//! A real registry and tools of other houses to judge what is pushed and signed: those named, those on the path, or Debian's
//! packages, unpacked into a folder of ours.

use crate::apt::Apt;
use crate::place::Place;
use crate::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs, the variables that name them for the tests, and what to ask them to see that they run.
pub(crate) const PROGRAMS: [(&str, &str, &str); 4] = [
    ("docker-registry", "TAMIS_REGISTRY", "--version"),
    ("skopeo", "TAMIS_SKOPEO", "--version"),
    ("buildah", "TAMIS_BUILDAH", "--version"),
    ("openssl", "TAMIS_OPENSSL", "version"),
];

/// Finds or unpacks the programs; gives each variable with the path for it.
pub(crate) fn ready(place: &Place) -> Result<Vec<(&'static str, PathBuf)>> {
    let folder = place.tools().join("registry");
    let mut apt = None;
    let mut found = Vec::new();
    for (program, variable, ask) in PROGRAMS {
        let works = |path: &Path| run::read(Command::new(path).arg(ask)).is_ok();
        let own = folder.join("bin").join(program);
        let path = if let Some(named) = std::env::var_os(variable) {
            let named = PathBuf::from(named);
            run::read(Command::new(&named).arg(ask))
                .with_context(|| format!("`{variable}` does not work"))?;
            named
        } else if works(Path::new(program)) {
            PathBuf::from(program)
        } else if works(&own) {
            own
        } else {
            if apt.is_none() {
                apt = Some(Apt::own(&folder.join("apt"))?);
            }
            let apt = apt.as_ref().context("apt is ready")?;
            unpack(apt, program, &folder).with_context(|| {
                format!("cannot install {program}; name one of your own with `{variable}`")
            })?;
            run::read(Command::new(&own).arg(ask))?;
            own
        };
        println!("setup: {program}: {}", path.display());
        found.push((variable, path));
    }
    Ok(found)
}

/// Packages between a program and the last library that this machine lacks.
const DEPTH: usize = 4;

/// The package with the libraries that this machine lacks, and a starter that knows where they lie.
fn unpack(apt: &Apt, program: &str, folder: &Path) -> Result<()> {
    let root = folder.join("root");
    apt.unpack(program, &root)?;
    let arch = std::env::consts::ARCH;
    let libraries =
        ["usr/lib", "lib"].map(|lib| root.join(lib).join(format!("{arch}-linux-gnu")).display().to_string());
    let libraries = libraries.join(":");
    let mut level = vec![program.to_owned()];
    for _ in 0..DEPTH {
        let mut linked = Command::new("ldd");
        linked.arg(root.join("usr/bin").join(program)).env("LD_LIBRARY_PATH", &libraries);
        // A program without shared libraries is an error to ldd.
        if !run::read(&mut linked).unwrap_or_default().contains("not found") {
            break;
        }
        let mut next = Vec::new();
        for package in &level {
            for library in apt.libraries(package)? {
                apt.unpack(&library, &root)?;
                next.push(library);
            }
        }
        level = next;
    }
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin)?;
    let starter = bin.join(program);
    let root = root.display();
    let script = format!("#!/bin/sh\nLD_LIBRARY_PATH='{libraries}' exec '{root}/usr/bin/{program}' \"$@\"\n");
    std::fs::write(&starter, script)?;
    run::read(Command::new("chmod").arg("+x").arg(&starter))?;
    Ok(())
}
