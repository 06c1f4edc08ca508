//! What a filter is made of: a list in CycloneDX 1.5, the same bytes on every machine, attached to its image.
//!
//! The list has no time and no serial number, both optional in CycloneDX (1.5, "Bill of Materials"): with them the
//! same filter would get another list every day.

use crate::artifact::{Artifact, Attached, content};
use crate::error::{Error, Kind};
use crate::manifest::{Descriptor, types};
use crate::{Digest, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Largest list that is read, bytes: one with a thousand packages has about half a MiB.
pub const MAX_SBOM: u64 = 16 << 20;

/// A package in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL, which is its name in the list too.
    pub purl: String,
    /// Its licence as an SPDX expression, or in words.
    pub licence: Option<String>,
    /// SHA-256 of the archive that it came in, hex.
    pub sha256: Option<String>,
    /// True when its code may be in the module; false when it only helped to build it.
    pub runs: bool,
    /// The package URLs of what it needs.
    pub needs: Vec<String>,
}

/// All packages of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The filter's own; its `sha256` is the module's.
    pub filter: Package,
    /// The others.
    pub others: Vec<Package>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    bom_format: &'a str,
    spec_version: &'a str,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Needs<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    tools: Tools<'a>,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Component<'a>; 1],
}

#[derive(Default, Serialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "bom-ref", skip_serializing_if = "str::is_empty")]
    reference: &'a str,
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Licence>,
    #[serde(skip_serializing_if = "str::is_empty")]
    purl: &'a str,
}

#[derive(Serialize)]
struct Hash<'a> {
    alg: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Licence {
    Expression(String),
    License(Named),
}

#[derive(Serialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Needs<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    depends_on: BTreeSet<&'a str>,
}

/// Writes the list.
///
/// # Errors
/// Never for what this crate makes; a failure is told, not a panic.
pub fn write(parts: &Parts) -> Result<Vec<u8>, Error> {
    let others: BTreeMap<&str, &Package> = parts.others.iter().map(|p| (p.purl.as_str(), p)).collect();
    let known = |purl: &&str| *purl == parts.filter.purl || others.contains_key(purl);
    let tool = Component {
        kind: "application",
        name: "tamis",
        version: env!("CARGO_PKG_VERSION"),
        ..Component::default()
    };
    let bom = Bom {
        bom_format: "CycloneDX",
        spec_version: "1.5",
        version: 1,
        metadata: Metadata {
            tools: Tools { components: [tool] },
            component: Component { scope: None, ..component(&parts.filter, "application") },
        },
        components: others.values().map(|p| component(p, "library")).collect(),
        dependencies: [&parts.filter]
            .into_iter()
            .chain(others.values().copied())
            .map(|p| Needs {
                reference: &p.purl,
                depends_on: p.needs.iter().map(String::as_str).filter(known).collect(),
            })
            .collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&bom)
        .map_err(|e| Error::new(Kind::BadImage, "the list of packages cannot be written").because(e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn component<'a>(package: &'a Package, kind: &'a str) -> Component<'a> {
    Component {
        kind,
        reference: &package.purl,
        name: &package.name,
        version: &package.version,
        scope: Some(if package.runs { "required" } else { "excluded" }),
        hashes: package.sha256.iter().map(|content| Hash { alg: "SHA-256", content }).collect(),
        licenses: package.licence.iter().map(|l| licence(l)).collect(),
        purl: &package.purl,
    }
}

/// Old manifests have `MIT/Apache-2.0`; what is no expression even then stands in words.
fn licence(text: &str) -> Licence {
    let repaired = spdx::Expression::canonicalize(text).ok().flatten();
    let text = repaired.unwrap_or_else(|| text.to_owned());
    match spdx::Expression::parse(&text) {
        Ok(_) => Licence::Expression(text),
        Err(_) => Licence::License(Named { name: text }),
    }
}

/// A list, ready to be attached to an image.
///
/// # Errors
/// When it is no list in CycloneDX's JSON, or larger than [`MAX_SBOM`].
pub fn artifact(subject: Descriptor, bytes: Vec<u8>) -> Result<Artifact, Error> {
    count(&bytes)?;
    Artifact::new(subject, types::CYCLONEDX, bytes, BTreeMap::new())
}

/// How many components a list has.
///
/// # Errors
/// When it is no list in CycloneDX's JSON, or larger than [`MAX_SBOM`].
pub fn count(bytes: &[u8]) -> Result<usize, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Seen {
        bom_format: String,
        #[serde(default)]
        components: Vec<serde::de::IgnoredAny>,
    }
    let bad = || Error::new(Kind::BadImage, "this is no list of packages in CycloneDX's JSON");
    if bytes.len() as u64 > MAX_SBOM {
        return Err(bad().because(format!("it has {} bytes, more than {MAX_SBOM}", bytes.len())));
    }
    let seen: Seen = serde_json::from_slice(bytes).map_err(|e| bad().because(e))?;
    match seen.bom_format.as_str() {
        "CycloneDX" => Ok(seen.components.len()),
        other => Err(bad().because(format!("`bomFormat` is `{}`", other.escape_debug()))),
    }
}

/// The lists among what is attached to an image, each with the digest of its manifest.
///
/// # Errors
/// When the registry does not give one.
pub fn read(store: &dyn Store, attached: &[Attached]) -> Result<Vec<(Digest, Vec<u8>)>, Error> {
    let mut all = Vec::new();
    for one in attached.iter().filter(|a| a.kind == types::CYCLONEDX) {
        if let Some(bytes) = content(store, &one.digest, |kind| kind == types::CYCLONEDX, MAX_SBOM)? {
            all.push((one.digest.clone(), bytes));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_expressions_or_words() {
        let shown = |text: &str| serde_json::to_value(licence(text)).unwrap();
        assert_eq!(shown("MIT/Apache-2.0"), serde_json::json!({"expression": "MIT OR Apache-2.0"}));
        assert_eq!(shown("Apache-2.0 WITH LLVM-exception")["expression"], "Apache-2.0 WITH LLVM-exception");
        assert_eq!(shown("as you like"), serde_json::json!({"license": {"name": "as you like"}}));
    }

    #[test]
    fn what_is_no_list_is_told() {
        assert_eq!(count(br#"{"bomFormat":"CycloneDX","components":[{},{}]}"#).unwrap(), 2);
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"bomFormat":"SPDX"}"#,
            br#"{"bomFormat":"CycloneDX","components":1}"#,
        ] {
            assert_eq!(count(bad).unwrap_err().kind, Kind::BadImage);
        }
    }
}
