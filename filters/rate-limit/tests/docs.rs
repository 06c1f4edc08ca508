//! The schema, the README and the demo say what the filter takes.

use rate_limit::config::Config;
use rate_limit::limiter::Limiter;
use std::path::Path;
use tamis_matching::docs::{json_blocks, schema_is_true};

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn accept(json: &str) {
    let config: Config = serde_json::from_str(json).unwrap_or_else(|e| panic!("{e} in {json}"));
    Limiter::new(&config).unwrap_or_else(|e| panic!("{e} in {json}"));
}

#[test]
fn the_schema_is_true() {
    schema_is_true::<Config>(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json"));
}

#[test]
fn examples_of_the_readme_are_accepted() {
    let readme = file("README.md");
    assert!(json_blocks(&readme).count() > 0);
    json_blocks(&readme).for_each(accept);
}

#[test]
fn the_demo_configuration_is_accepted() {
    accept(&file("../../cli/demo/rate-limit.json"));
}
