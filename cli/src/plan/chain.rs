//! A chain of filters as a file.

use super::filters::{FilterPlan, Source, beside, config_bytes};
use crate::args::Policy;
use crate::failure::{Code, Failure, Result};
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// `--chain FILE`: the filters in the order in which a request meets them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    filters: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    filter: String,
    #[serde(default)]
    name: String,
    config: Option<serde_json::Value>,
    root_id: Option<String>,
    #[serde(default)]
    vm_id: String,
    vm_config: Option<serde_json::Value>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    policy: Option<String>,
    #[serde(default)]
    allow_on_headers_stop_iteration: bool,
    #[serde(default)]
    allowed_capabilities: Vec<String>,
}

impl Chain {
    /// Reads a chain file. Paths in it start from its folder.
    ///
    /// # Errors
    /// `bad-chain` with line and column.
    pub fn read(path: &Path) -> Result<Vec<FilterPlan>> {
        let bytes = super::read_file(path)?;
        let bad = |e: anyhow::Error| {
            Failure::because(Code::BadChain, format!("cannot read chain `{}`", path.display()), e)
        };
        let text = String::from_utf8(bytes).map_err(|e| bad(e.into()))?;
        let chain: Chain = serde_saphyr::from_str(&text).map_err(|e| bad(e.into()))?;
        if chain.filters.is_empty() {
            return Err(bad(anyhow::anyhow!("`filters` is empty")));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        chain.filters.into_iter().map(|entry| entry.plan(folder)).collect()
    }
}

impl Entry {
    fn plan(self, folder: &Path) -> Result<FilterPlan> {
        let policy = match self.policy.as_deref().map(|p| Policy::from_str(p, false)) {
            None => None,
            Some(Ok(policy)) => Some(policy.into()),
            Some(Err(_)) => {
                let text = format!("`policy` of `{}` wants `closed`, `open` or `reload`", self.filter);
                return Err(Failure::new(Code::BadChain, text));
            }
        };
        Ok(FilterPlan {
            name: self.name,
            source: Source::find(&beside(folder, &self.filter))?,
            config: self.config.map(|c| value_bytes(folder, c)).transpose()?,
            root_id: self.root_id,
            vm_id: self.vm_id,
            vm_config: self.vm_config.map(|c| value_bytes(folder, c)).transpose()?.unwrap_or_default(),
            env: self.env.into_iter().collect(),
            policy,
            allow_on_headers_stop_iteration: self.allow_on_headers_stop_iteration,
            allowed_capabilities: self.allowed_capabilities,
        })
    }
}

/// A string names a file or is JSON text; anything else is the JSON itself.
fn value_bytes(folder: &Path, value: serde_json::Value) -> Result<Vec<u8>> {
    match value {
        serde_json::Value::String(text) => {
            let file = folder.join(&text);
            if file.is_file() { super::read_file(&file) } else { config_bytes(&text) }
        }
        other => Ok(other.to_string().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<FilterPlan>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wasm"), b"").unwrap();
        std::fs::write(folder.path().join("c.json"), b"{}").unwrap();
        std::fs::write(folder.path().join("chain.yaml"), text).unwrap();
        Chain::read(&folder.path().join("chain.yaml"))
    }

    #[test]
    fn entries_take_objects_and_files_from_the_folder_of_the_chain() {
        let plans = read(
            "filters:\n- filter: a.wasm\n  config: {x: 1}\n  policy: open\n  allowed-capabilities: [proxy_log]\n- {filter: a.wasm, name: b, config: c.json, allow-on-headers-stop-iteration: true}\n",
        )
        .unwrap();
        assert_eq!(plans[0].config.as_deref(), Some(&b"{\"x\":1}"[..]));
        assert_eq!(plans[0].policy, Some(tamis_host::FailurePolicy::Open));
        assert_eq!(plans[1].config.as_deref(), Some(&b"{}"[..]));
        assert_eq!(plans[1].name, "b");
        assert_eq!(plans[0].allowed_capabilities, ["proxy_log"]);
        assert!(plans[1].allow_on_headers_stop_iteration && !plans[0].allow_on_headers_stop_iteration);
    }

    #[test]
    fn a_mistake_is_a_bad_chain_and_says_where() {
        for text in [
            "",
            "filters: []",
            "filters:\n- filter: a.wasm\n  polisy: open\n",
            "filters:\n- {filter: a.wasm, policy: ajar}",
        ] {
            assert_eq!(read(text).unwrap_err().code, Code::BadChain, "{text}");
        }
        let failure = read("filters:\n- filter: a.wasm\n  polisy: open\n").unwrap_err();
        assert!(failure.causes().join(" ").contains("line 3"), "{:?}", failure.causes());
    }
}
