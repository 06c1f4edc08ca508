//! What a built filter is made of, as CycloneDX.

use super::Built;
use crate::failure::{Code, Failure, Result};
use crate::plan::read_file;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, PackageId, TargetKind};
use packageurl::PackageUrl;
use std::collections::{BTreeMap, BTreeSet};
use tamis_oci::Digest;
use tamis_oci::sbom::{Package, Parts, write};

/// Where cargo says that a package of crates.io comes from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The list of a built filter: what cargo says that it compiled, with the graph of `cargo metadata` between. A
/// package that cargo knows and did not compile, for another platform or for tests, is not in it.
///
/// # Errors
/// When cargo cannot describe the package.
pub fn sbom(built: &Built) -> Result<Vec<u8>> {
    let text = format!("cannot list what `{}` is made of", built.name);
    let metadata = MetadataCommand::new()
        .current_dir(&built.folder)
        .other_options(["--filter-platform".to_owned(), built.target.clone()])
        .exec()
        .map_err(|e| Failure::because(Code::NoCargo, &text, e))?;
    let graph = Graph::of(&metadata, &built.compiled);
    let root = graph
        .packages
        .values()
        .find(|p| p.manifest_path.parent().is_some_and(|f| f.as_std_path() == built.folder))
        .ok_or_else(|| Failure::new(Code::NoCargo, &text).hint("cargo does not know the package any more"))?;
    let runs = graph.runs(&root.id);
    let sums = checksums(&metadata);
    let part = |id: &PackageId| -> Result<Package> {
        let package = graph.packages[id];
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let source = package.source.as_ref().map(|s| s.repr.as_str()).unwrap_or_default();
        let needs = graph.needs(id).map(|id| purl(graph.packages[id])).collect::<Result<_>>()?;
        Ok(Package {
            purl: purl(package)?,
            licence: package.license.clone(),
            sha256: sums.get(&(name.clone(), version.clone(), source.to_owned())).cloned(),
            runs: runs.contains(id),
            needs,
            name,
            version,
        })
    };
    let wasm = Digest::of(&read_file(&built.wasm)?).hex().to_owned();
    let filter = Package { sha256: Some(wasm), ..part(&root.id)? };
    let others = graph.packages.keys().filter(|id| **id != root.id).map(part).collect::<Result<_>>()?;
    Ok(write(&Parts { filter, others })?)
}

/// The packages that were compiled, and what each needs of the others.
struct Graph<'a> {
    packages: BTreeMap<PackageId, &'a cargo_metadata::Package>,
    nodes: BTreeMap<PackageId, &'a Node>,
}

impl<'a> Graph<'a> {
    fn of(metadata: &'a Metadata, compiled: &BTreeSet<String>) -> Self {
        let packages = metadata.packages.iter().filter(|p| compiled.contains(&p.id.repr));
        let nodes = metadata.resolve.iter().flat_map(|r| &r.nodes);
        Self {
            packages: packages.map(|p| (p.id.clone(), p)).collect(),
            nodes: nodes.map(|n| (n.id.clone(), n)).collect(),
        }
    }

    /// What a package needs to be compiled and to run; not what its tests need.
    fn needs(&self, id: &PackageId) -> impl Iterator<Item = &'a PackageId> {
        let all = self.nodes.get(id).into_iter().flat_map(|n| &n.deps);
        all.filter(|d| d.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development))
            .map(|d| &d.pkg)
            .filter(|id| self.packages.contains_key(*id))
    }

    /// The packages whose code may be in the module: reached without a build script or a macro between.
    fn runs(&self, root: &PackageId) -> BTreeSet<PackageId> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![root]);
        while let Some(id) = open.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            let all = self.nodes.get(id).into_iter().flat_map(|n| &n.deps);
            let normal = all.filter(|d| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal));
            open.extend(
                normal.map(|d| &d.pkg).filter(|id| self.packages.get(*id).is_some_and(|p| !is_macro(p))),
            );
        }
        seen
    }
}

fn is_macro(package: &cargo_metadata::Package) -> bool {
    package.targets.iter().any(|t| t.kind.contains(&TargetKind::ProcMacro))
}

/// The package URL of a package (its type `cargo`): without a qualifier when it is of crates.io, or lies in a folder.
fn purl(package: &cargo_metadata::Package) -> Result<String> {
    let bad = |e: packageurl::Error| {
        Failure::because(Code::NoCargo, format!("`{}` has no package URL", package.name), e)
    };
    let mut purl = PackageUrl::new("cargo", package.name.to_string()).map_err(bad)?;
    purl.with_version(package.version.to_string()).map_err(bad)?;
    match package.source.as_ref().map(|s| s.repr.as_str()) {
        None | Some(CRATES_IO) => {}
        Some(source) => {
            let (key, value) = origin(source);
            purl.add_qualifier(key, value).map_err(bad)?;
        }
    }
    Ok(purl.to_string())
}

/// Where else a package comes from: a commit of a repository, or a registry. A login in the address stays here.
fn origin(source: &str) -> (&'static str, String) {
    let (kind, address) = source.split_once('+').unwrap_or(("registry", source));
    let address = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or(host);
            format!("{scheme}://{host}/{path}")
        }
        None => address.to_owned(),
    };
    if kind != "git" {
        return ("repository_url", address);
    }
    let (address, commit) = address.split_once('#').unwrap_or((&address, ""));
    let address = address.split('?').next().unwrap_or(address);
    ("vcs_url", format!("git+{address}@{commit}"))
}

/// SHA-256 of packages' archives, as the lock file has them, by name, version and source.
fn checksums(metadata: &Metadata) -> BTreeMap<(String, String, String), String> {
    let text = std::fs::read_to_string(metadata.workspace_root.join("Cargo.lock")).unwrap_or_default();
    let lock: toml::Table = text.parse().unwrap_or_default();
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    packages
        .filter_map(|package| {
            let field = |name: &str| package.get(name)?.as_str().map(str::to_owned);
            Some(((field("name")?, field("version")?, field("source")?), field("checksum")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn a_login_in_an_address_is_left_out() {
        let git = "git+https://me:token@git.example/a/b?rev=1#0123";
        assert_eq!(origin(git), ("vcs_url", "git+https://git.example/a/b@0123".to_owned()));
        let registry = "sparse+https://me:token@crates.example/index/";
        assert_eq!(origin(registry), ("repository_url", "https://crates.example/index/".to_owned()));
    }
}
