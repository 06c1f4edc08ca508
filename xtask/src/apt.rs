//! Debian packages, unpacked into a folder of ours and never installed.

use crate::run;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Releases that may carry the compiler's version; the machine's own is often too old.
const SUITES: [&str; 4] = ["trixie-backports", "trixie", "forky", "sid"];

/// Signs all releases of Debian.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with a source list and state of its own, so that the machine's settings stay as they are.
pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Reads the mirror from the machine's settings and fetches the lists of one suite after another until
    /// one has a version of `package` that starts with `version`. Gives that version.
    pub(crate) fn with(folder: &Path, package: &str, version: &str) -> Result<(Self, String)> {
        for suite in SUITES {
            let apt = Self::of(folder, suite)?;
            let list = run::read(apt.command("apt-cache").args(["madison", package]))?;
            // `rust-src | 1.95.0+dfsg1-2~bpo13+1 | …`
            let found = list.lines().filter_map(|l| l.split('|').nth(1)).map(str::trim).find(|v| {
                v.strip_prefix(version).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            if let Some(found) = found {
                let found = found.to_owned();
                return Ok((apt, found));
            }
        }
        bail!("no release of Debian among {} has `{package}` {version}", SUITES.join(", "));
    }

    /// The machine's own release: what its C library runs.
    pub(crate) fn own(folder: &Path) -> Result<Self> {
        let release = std::fs::read_to_string("/etc/os-release").context("this is no Debian")?;
        let name = release.lines().find_map(|l| l.strip_prefix("VERSION_CODENAME="));
        Self::of(folder, name.context("the release of Debian has no name")?.trim_matches('"'))
    }

    /// One suite, its list fetched.
    fn of(folder: &Path, suite: &str) -> Result<Self> {
        let mirror = mirror().context("apt's settings name no Debian mirror")?;
        let apt = Self { folder: folder.join(suite) };
        std::fs::create_dir_all(apt.folder.join("lists/partial"))?;
        std::fs::create_dir_all(apt.folder.join("cache/archives/partial"))?;
        std::fs::write(
            apt.folder.join("sources.list"),
            format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"),
        )?;
        println!("setup: apt: reading the package list of {suite}");
        run::read(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// The libraries that a package itself names as needed, but for the C library.
    pub(crate) fn libraries(&self, package: &str) -> Result<Vec<String>> {
        let said = run::read(self.command("apt-cache").args(["depends", "--important", package]))?;
        let names = said.lines().filter_map(|l| l.trim().strip_prefix("Depends: "));
        Ok(names.filter(|n| n.starts_with("lib") && *n != "libc6").map(str::to_owned).collect())
    }

    /// Downloads `package` (`name` or `name=version`) and unpacks it below `into`.
    pub(crate) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let debs = self.folder.join(package.split('=').next().unwrap_or(package));
        // What an interrupted run left would be unpacked too.
        if debs.exists() {
            std::fs::remove_dir_all(&debs)?;
        }
        std::fs::create_dir_all(&debs)?;
        println!("setup: apt: downloading {package}");
        run::read(self.command("apt-get").args(["download", package]).current_dir(&debs))?;
        std::fs::create_dir_all(into)?;
        for deb in std::fs::read_dir(&debs)? {
            run::read(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(into))?;
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let at = self.folder.display();
        let mut command = Command::new(program);
        for option in [
            format!("Dir::Etc::sourcelist={at}/sources.list"),
            "Dir::Etc::sourceparts=-".into(),
            format!("Dir::State::Lists={at}/lists"),
            format!("Dir::Cache={at}/cache"),
            // The download user may not enter a home folder.
            "APT::Sandbox::User=root".into(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// The first mirror of Debian's main archive in the machine's settings, in either of apt's two formats.
fn mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = std::fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.flatten().map(|e| e.path()));
    }
    files.sort();
    files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "list" || e == "sources"))
        .filter_map(|f| std::fs::read_to_string(f).ok())
        .flat_map(|text| uris(&text))
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
}

/// All archive addresses in a source list (`deb [options] URI suite …`) or a `.sources` file (`URIs: …`).
fn uris(text: &str) -> Vec<String> {
    text.lines()
        .filter(|l| l.starts_with("deb ") || l.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .filter(|word| word.contains("://"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::uris;

    #[test]
    fn addresses_are_found_in_both_formats_of_apt() {
        let one_line = "# deb http://off.example/debian x main\ndeb [arch=amd64 signed-by=/k] http://m.example/debian x main\n";
        assert_eq!(uris(one_line), ["http://m.example/debian"]);
        let stanza = "Types: deb\n# http://snapshot.example/\nURIs: http://m.example/debian/\nSuites: x\n";
        assert_eq!(uris(stanza), ["http://m.example/debian/"]);
    }
}
