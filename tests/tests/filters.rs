//! The filters as they ship: each starts in a real Envoy with the configuration of the demo, for both
//! targets, and lets an ordinary request through.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tamis_cli::build;
use tamis_tests::artifact::{self, PLAIN, WASI};
use tamis_tests::envoy::{self, Envoy};
use tamis_tests::peer::{Upstream, exchange};
use tamis_tests::row::{Answer, Step};
use tamis_tests::tree;

const FILTERS: [&str; 3] = ["header-routing", "auth", "rate-limit"];

#[test]
fn every_filter_starts_in_envoy_and_lets_a_request_through() -> Result<()> {
    let answer = Answer { body: vec!["from the shop".into()], ..Answer::default() };
    let upstream = Upstream::start(vec![answer])?;
    let mut listeners = Vec::new();
    for target in [WASI, PLAIN] {
        let mut chain = Vec::new();
        for name in FILTERS {
            let wasm = artifact::shipped(name, target)?;
            let config = tree::root().join("cli/demo").join(name).with_extension("json");
            let config = std::fs::read_to_string(&config).with_context(|| format!("{}", config.display()))?;
            let filter = envoy::filter(name, &format!("{name}-{target}"), &wasm, &config, &json!({}));
            listeners.push(envoy::listener(
                &format!("{name}-{target}"),
                std::slice::from_ref(&filter),
                "shop",
            ));
            chain.push(filter);
        }
        listeners.push(envoy::listener(&format!("chain-{target}"), &chain, "shop"));
    }
    let cluster = envoy::cluster("shop", Some(upstream.address()));
    let envoy = Envoy::start(&listeners, &[cluster])?;
    // What is no UTF-8 must not kill a VM: the request after it is served too (docs/envoy.md 3, row 51).
    let bytes = vec![("x-raw".into(), "636166e9".into()), ("cookie".into(), "613dff".into())];
    let steps = [Step::default(), Step { hex_headers: bytes, ..Step::default() }, Step::default()];
    for name in listeners.iter().filter_map(|l: &Value| l["name"].as_str()) {
        for step in &steps {
            let seen = exchange(envoy.listener(name)?, step)?;
            assert_eq!(seen.start, "200", "{name} answered {seen:?}");
            assert_eq!(seen.body, b"from the shop", "{name}");
            assert_eq!(upstream.take().len(), 1, "{name} did not ask the upstream once");
        }
    }
    Ok(())
}

#[test]
fn a_filter_refuses_a_configuration_that_it_does_not_know_and_envoy_does_not_start() -> Result<()> {
    let wasm = artifact::unlinked("header-routing", WASI)?;
    let filter = envoy::filter("bad", "bad", &wasm, r#"{"no-such-key": 1}"#, &json!({}));
    let refused = Envoy::start(&[envoy::listener("bad", &[filter], "none")], &[envoy::cluster("none", None)]);
    let error = format!("{:#}", anyhow::Error::from(refused.err().context("Envoy started")?));
    assert!(error.contains("no-such-key"), "the filter does not say what it refused: {error}");
    Ok(())
}

#[test]
fn what_a_module_carries_is_the_schema_of_its_filter() -> Result<()> {
    for name in FILTERS {
        let told = build::schema(&std::fs::read(artifact::unlinked(name, WASI)?)?);
        let told = told.map_err(|failure| failure.error)?;
        let kept = std::fs::read(tree::root().join("filters").join(name).join("schema.json"))?;
        assert_eq!(told, Some(serde_json::from_slice(&kept)?), "{name}");
    }
    Ok(())
}
