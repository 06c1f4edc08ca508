//! `deploy`: a rollout in steps, for others to apply.

use crate::guests;
use crate::real::Real;
use crate::support::{Place, Ran, shipped};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A configuration of the shipped filter that answers.
const CONFIG: &str =
    r#"{"rules":[{"name":"all","match":[{"path":{"prefix":"/beta"}}],"action":{"respond":{"status":404}}}]}"#;

/// A folder with images in OCI image layouts: `routing`, which has a shadow mode, and `pass`, which has none.
fn place() -> Place {
    static SHIPPED: LazyLock<PathBuf> = LazyLock::new(|| shipped("header-routing"));
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    for (name, file) in [("routing", SHIPPED.to_str().unwrap()), ("pass", "pass.wasm")] {
        let name = format!("r.example/team/{name}:v1");
        place.run(&["push", &name, "--filter", file, "--layout", &layout(&name)]).exit(0);
    }
    place
}

/// The folder of an image.
fn layout(name: &str) -> String {
    format!("of-{}", name.replace(['/', ':'], "-"))
}

fn deploy(place: &Place, name: &str, args: &[&str]) -> Ran {
    let name = format!("r.example/team/{name}:v1");
    place.run(&[&["deploy", &name, "--layout", &layout(&name), "--selector", "app=cart"], args].concat())
}

/// The documents of a stream of YAML.
fn documents(text: &str) -> Vec<Value> {
    text.split("---\n")
        .map(|part| serde_saphyr::from_str(part).unwrap_or_else(|e| panic!("{e}\n{part}")))
        .collect()
}

#[test]
fn no_cluster_is_ever_spoken_to() {
    let place = Place::new();
    let ran = place.run(&["deploy", "localhost:1/team/routing:v1", "--selector", "app=cart"]);
    ran.exit(2).talks("error[no-cluster]").talks("| kubectl apply -f -").talks("--kustomize");
    assert_eq!(ran.out, "");
}

#[test]
fn first_it_counts_and_then_it_acts() {
    let place = place();
    let ran = deploy(&place, "routing", &["--config", CONFIG, "--phase", "authz", "--dry-run"]);
    ran.exit(0).says("# step 1 of 2, shadow: ").says("# step 2 of 2, enforce: ").talks("--step shadow");
    let both = documents(&ran.out);
    assert_eq!(both.len(), 2);
    let mode = |step: &Value| step["spec"]["pluginConfig"]["mode"].clone();
    assert_eq!((mode(&both[0]), mode(&both[1])), ("SHADOW".into(), Value::Null));
    assert_eq!(both[0]["spec"]["failStrategy"], "FAIL_OPEN");
    assert_eq!(both[1]["spec"]["failStrategy"], "FAIL_CLOSE");
    assert_eq!(both[0]["metadata"], both[1]["metadata"]);

    for (index, step) in ["shadow", "enforce"].into_iter().enumerate() {
        let one =
            deploy(&place, "routing", &["--config", CONFIG, "--phase", "authz", "--dry-run", "--step", step]);
        assert_eq!(documents(&one.exit(0).out), both[index..=index], "{step}");
        assert!(!one.err.contains("note"), "{}", one.err);
    }
    let layout = layout("r.example/team/routing:v1");
    let manifest = [
        "manifest",
        "r.example/team/routing:v1",
        "--layout",
        &layout,
        "--selector",
        "app=cart",
        "--phase",
        "authz",
        "--config",
        CONFIG,
    ];
    assert_eq!(documents(&place.run(&manifest).exit(0).out), both[1..]);
    let json = deploy(&place, "routing", &["--config", CONFIG, "--dry-run", "--format", "json"]);
    let events: Vec<_> = json.exit(0).json().into_iter().filter(|e| e["event"] == "step").collect();
    assert_eq!(events[0]["step"], "shadow");
    assert_eq!(events[1]["resource"]["kind"], "WasmPlugin");
}

#[test]
fn a_filter_that_cannot_only_count_is_not_silently_let_loose() {
    let place = place();
    let ran = deploy(&place, "pass", &["--dry-run"]);
    ran.exit(2)
        .talks("error[no-shadow]")
        .talks("carries no schema")
        .talks("--step enforce")
        .talks("--shadow");
    assert_eq!(ran.out, "");
    let told = deploy(
        &place,
        "pass",
        &["--dry-run", "--shadow", r#"{"dry":{"run":true}}"#, "--config", r#"{"a":1}"#],
    );
    let steps = documents(&told.exit(0).out);
    assert_eq!(steps[0]["spec"]["pluginConfig"], serde_json::json!({"a": 1, "dry": {"run": true}}));
    assert_eq!(steps[1]["spec"]["pluginConfig"], serde_json::json!({"a": 1}));
    let alone = deploy(&place, "pass", &["--dry-run", "--step", "enforce"]);
    assert_eq!(documents(&alone.exit(0).out).len(), 1);
    deploy(&place, "pass", &["--dry-run", "--shadow", "[1]"]).exit(5).talks("error[bad-config]");
    // A configuration that never acts is no second step.
    let never = r#"{"mode":"SHADOW","rules":[]}"#;
    deploy(&place, "routing", &["--dry-run", "--policy", "open", "--config", never])
        .exit(2)
        .talks("both steps are the same");
}

/// What the filter itself refuses would take traffic down under `closed`.
#[test]
fn the_filter_reads_its_configuration_before_a_cluster_does() {
    let place = place();
    for command in ["deploy", "manifest"] {
        let name = "r.example/team/routing:v1";
        let common = ["--layout", &layout(name), "--selector", "app=cart", "--config", r#"{"ruels":[]}"#];
        let dry: &[&str] = if command == "deploy" { &["--dry-run"] } else { &[] };
        let ran = place.run(&[&[command, name], &common[..], dry].concat());
        ran.exit(5).talks("error[config-refused]").talks("did you mean `rules`?");
        assert_eq!(ran.out, "");
    }
}

#[test]
fn kinds_that_no_cluster_takes() {
    let place = Place::new();
    for kind in ["envoy", "consul-entry"] {
        let ran = place.run(&["deploy", "r.example/f:v1", "--kind", kind, "--dry-run"]);
        ran.exit(2).talks("tamis manifest");
    }
}

#[test]
fn a_folder_for_kustomize() {
    let place = place();
    let folder = |more: &[&str]| {
        let args = ["--config", CONFIG, "--namespace", "shop", "--kustomize", "k"];
        deploy(&place, "routing", &[&args[..], more].concat())
    };
    folder(&[])
        .exit(0)
        .says("kubectl apply -k k/overlays/shadow\n")
        .says("kubectl apply -k k/overlays/enforce\n");
    let read = |name: &str| std::fs::read_to_string(place.path().join("k").join(name)).unwrap();
    assert!(read("overlays/shadow/shadow.yaml").contains("value: SHADOW"));
    folder(&[]).exit(0).talks("Unchanged");
    place.file("k/base/kustomization.yaml", "mine");
    folder(&[]).exit(2).talks("--overwrite");
    assert_eq!(read("base/kustomization.yaml"), "mine");
    folder(&["--overwrite"]).exit(0);
    folder(&["--step", "shadow"]).exit(2).talks("base");

    // Kustomize itself makes the same steps of it, whatever the kind.
    let name = "r.example/team/routing:v1";
    for (index, scope) in [
        &["--selector", "app=cart"][..],
        &["--kind", "traffic-extension", "--target-ref", "Gateway/edge"],
        &["--kind", "envoy-filter", "--selector", "app=cart"],
        &["--kind", "envoy-extension-policy", "--target-ref", "HTTPRoute/all"],
        &["--kind", "higress-wasm-plugin", "--scope", "mesh"],
        &["--kind", "consul", "--target-ref", "Service/cart", "--code-file", "/f.wasm"],
    ]
    .into_iter()
    .enumerate()
    {
        let folder = format!("k{index}");
        let layout = layout(name);
        let common = [&["deploy", name, "--layout", &layout, "--config", CONFIG], scope].concat();
        place.run(&[&common[..], &["--kustomize", &folder]].concat()).exit(0);
        let steps = documents(&place.run(&[&common[..], &["--dry-run"]].concat()).exit(0).out);
        assert_ne!(steps[0], steps[1], "{scope:?}");
        for (step, overlay) in steps.iter().zip(["shadow", "enforce"]) {
            let built = kustomize(&place, &format!("{folder}/overlays/{overlay}"));
            assert_eq!(&documents(&built)[0], step, "{scope:?} {overlay}");
        }
    }
}

/// The shell lines of a pipeline, in order, without those that install tamis.
fn scripts(pipeline: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let github = pipeline["jobs"]["filter"]["steps"].as_array().into_iter().flatten();
    let github = github.filter_map(|step| text(&step["run"]));
    let gitlab = ["filter-test", "filter-deploy"].map(|job| pipeline[job]["script"].as_array());
    let gitlab = gitlab.into_iter().flatten().flatten().filter_map(text);
    github.chain(gitlab).filter(|run| run.contains("tamis ") && !run.contains("cargo install")).collect()
}

/// What the pipelines run, run: against a real registry, to what the cluster is told.
#[test]
fn pipelines_test_and_push_and_write() {
    let (registry, place) = (Real::open(), Place::new());
    place.run(&["new", "hello", "--template", "header", "--set", "header=x-hello"]).exit(0);
    let hello = place.path().join("hello");
    let repository = format!("{}/team/hello", registry.at);
    let own = Path::new(env!("CARGO_BIN_EXE_tamis")).parent().unwrap();
    let path = std::env::join_paths(
        [own.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    // In one shell, as GitLab runs a job; ends with the first that fails.
    let play = |scripts: &[String]| {
        let mut shell = place.program("sh", &["-e", "-c", &scripts.join("\n")]);
        shell.current_dir(&hello).env("PATH", &path).env_remove("CARGO_TARGET_DIR").env("HOME", place.path());
        // Nobody gave the project a login.
        shell.env("TAMIS_USERNAME", "").env("TAMIS_PASSWORD", "");
        shell.env("REPOSITORY", &repository).env("TAG", "v1").env("CI_COMMIT_SHA", "0a1b");
        let output = shell.output().unwrap();
        (output.status.code(), format!("{output:?}"))
    };
    for (system, tag) in [("github", "v1"), ("gitlab", "0a1b")] {
        let settings = r#"{"header":"x-it's only"}"#;
        let config =
            ["--selector", "app=cart", "--config", "config.json", "--shadow", settings, "--priority", "-5"];
        let ran = place.run(&[&["deploy", &repository, "--ci", system], &config[..]].concat());
        let pipeline: Value =
            serde_saphyr::from_str(&ran.exit(0).out).unwrap_or_else(|e| panic!("{e}\n{}", ran.out));
        let scripts = scripts(&pipeline);
        assert!(scripts.len() == 3, "{scripts:?}");
        let (code, said) = play(&scripts);
        assert_eq!(code, Some(0), "{said}");
        assert!(std::fs::read_to_string(hello.join("tamis.xml")).unwrap().contains("<testsuite"));
        let step = |name: &str| {
            documents(&std::fs::read_to_string(hello.join("deploy").join(name)).unwrap()).remove(0)
        };
        let (shadow, enforce) = (step("1-shadow.yaml"), step("2-enforce.yaml"));
        assert_eq!(shadow["spec"]["pluginConfig"]["header"], "x-it's only");
        assert_eq!(enforce["spec"]["pluginConfig"]["header"], "x-hello");
        assert_eq!(enforce["spec"]["priority"], -5);
        let name = format!("{repository}:{tag}");
        let pulled = place.run(&["pull", &name, "--overwrite", "--format", "json"]).exit(0).event("pulled");
        assert_eq!(enforce["spec"]["url"], pulled["pinned"]);
        std::fs::remove_dir_all(hello.join("deploy")).unwrap();

        // A test that fails ends the pipeline with its own exit code, before anything is pushed.
        let test = hello.join("tests/shop.yaml");
        let text = std::fs::read_to_string(&test).unwrap();
        std::fs::write(&test, text.replace("x-filtered-by: hello", "x-filtered-by: nobody")).unwrap();
        let (code, said) = play(&scripts);
        assert_eq!(code, Some(1), "{said}");
        assert!(!hello.join("deploy").exists());
        std::fs::write(&test, text).unwrap();
    }
    for (args, text) in [
        (&["--config", "{\n}"][..], "into a file"),
        (&["--config", "${{ secrets.X }}"], "into a file"),
        (&["--layout", "x"], "leave"),
    ] {
        place.run(&[&["deploy", &repository, "--ci", "github"], args].concat()).exit(2).talks(text);
    }
    place
        .run(&["deploy", &format!("{repository}:v1"), "--ci", "github"])
        .exit(2)
        .talks("the repository alone");
}

/// `cargo xtask setup` brings one.
fn kustomize(place: &Place, folder: &str) -> String {
    let program = std::env::var("TAMIS_KUSTOMIZE").unwrap_or_else(|_| "kustomize".to_owned());
    let output = place.program(&program, &["build", folder]).output();
    let output = output.unwrap_or_else(|e| panic!("{program} (`cargo xtask setup` brings one): {e}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{folder}: {}", text(output.stderr));
    text(output.stdout)
}
