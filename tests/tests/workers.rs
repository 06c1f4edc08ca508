//! Two workers in a real Envoy: what they share and what each has alone (docs/envoy.md 1.5, 2.8, 2.12). Our host
//! holds the same rules in its own tests; the kernel deals connections here, the seed there.

use anyhow::Result;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tamis_tests::artifact::{self, PLAIN};
use tamis_tests::envoy::{self, Envoy};
use tamis_tests::peer::{Upstream, exchange};
use tamis_tests::row::Step;

/// Enough that both workers have served some, whatever the kernel does: the odds against it are 1 to 2^39.
const MANY: usize = 40;

fn start(script: &str, upstream: &Upstream) -> Result<Envoy> {
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let filter = envoy::filter("a", "one", &wasm, &format!("a | {script}"), &json!({}));
    let clusters = [envoy::cluster("up", Some(upstream.address()))];
    Ok(Envoy::start_with_workers(&[envoy::listener("l", &[filter], "up")], &clusters, 2)?)
}

/// Threads that logged a line which ends so.
fn threads(envoy: &Envoy, ending: &str) -> BTreeSet<String> {
    let lines = envoy.lines();
    lines.iter().filter(|l| l.text.ends_with(ending)).map(|l| l.thread.clone()).collect()
}

fn scripted(script: &str) -> Step {
    Step { script: [("*".to_owned(), script.to_owned())].into(), ..Step::default() }
}

#[test]
fn envoy_2_8_a_queue_belongs_to_one_thread_and_all_others_feed_it() -> Result<()> {
    let upstream = Upstream::start(Vec::new())?;
    let envoy = start("conf: qreg q | queue: qget 1", &upstream)?;
    for _ in 0..MANY {
        exchange(envoy.listener("l")?, &scripted("rqh: qput 1 m; get 0 :path"))?;
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(threads(&envoy, "get 0 :path -> 0 \"/\"").len(), 2, "both workers serve");
    assert_eq!(threads(&envoy, "a/root queue token=1").len(), 1, "one of them is told");
    let told = envoy.lines().iter().filter(|l| l.text.ends_with("a/root queue token=1")).count();
    assert_eq!(told, MANY, "of every message");
    Ok(())
}

#[test]
fn envoy_2_12_each_workers_vm_dies_alone() -> Result<()> {
    let upstream = Upstream::start(Vec::new())?;
    let envoy = start("", &upstream)?;
    assert_eq!(exchange(envoy.listener("l")?, &scripted("rqh: trap"))?.start, "503");
    let mut seen = BTreeSet::new();
    for _ in 0..MANY {
        seen.insert(exchange(envoy.listener("l")?, &Step::default())?.start);
    }
    assert_eq!(seen, ["200", "503"].map(String::from).into());
    Ok(())
}
