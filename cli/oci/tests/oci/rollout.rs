//! A rollout in two steps, and the folder that Kustomize makes both of.

use crate::deploying::{ALL, any_deployment, deployment, fitting, target, written};
use crate::schemas::breaches;
use proptest::prelude::*;
use serde_json::{Value, json};
use tamis_oci::deploy::{
    Code, Deployment, Lint, NoShadow, OnFailure, Phase, Resource, Scope, Whole, folder, render, shadow,
};

fn schema() -> Value {
    json!({"properties": {"mode": {"enum": ["ENFORCE", "SHADOW", "DISABLED"]}}})
}

#[test]
fn a_filter_is_told_to_only_count() {
    let d = Deployment {
        schema: Some(schema()),
        phase: Some(Phase::Authz),
        config: Some(json!({"mode": "ENFORCE", "rules": []})),
        ..deployment()
    };
    let first = shadow(&d, None).unwrap();
    let (value, remarks) = render(Resource::WasmPlugin, &first).unwrap();
    // Nobody is let in by it: there it refuses nobody.
    assert!(!remarks.iter().any(|r| r.lint == Lint::AuthFailsOpen), "{remarks:?}");
    assert_eq!(value["spec"]["pluginConfig"], json!({"mode": "SHADOW", "rules": []}));
    assert_eq!(value["spec"]["failStrategy"], "FAIL_OPEN");
    // It is the same resource: the second step takes its place.
    let second = written(Resource::WasmPlugin, &d);
    assert_eq!(second["spec"]["failStrategy"], "FAIL_CLOSE");
    assert_eq!(
        (&value["metadata"], &value["spec"]["sha256"]),
        (&second["metadata"], &second["spec"]["sha256"])
    );
}

#[test]
fn filters_of_others_are_told_in_their_own_words() {
    let d = Deployment { config: Some(json!({"a": {"b": 1}})), ..deployment() };
    let told = shadow(&d, Some(&json!({"a": {"dry_run": true}}))).unwrap();
    assert_eq!(told.config, Some(json!({"a": {"b": 1, "dry_run": true}})));
    let none = Deployment { config: None, ..deployment() };
    assert_eq!(shadow(&none, Some(&json!({"dry": 1}))).unwrap().config, Some(json!({"dry": 1})));
    assert_eq!(shadow(&d, None).unwrap_err(), NoShadow::NoSchema);
    let other = Deployment { schema: Some(json!({"properties": {"header": {}}})), ..deployment() };
    assert_eq!(shadow(&other, None).unwrap_err(), NoShadow::NoMode);
    let text = Deployment { config: Some(json!("text")), schema: Some(schema()), ..deployment() };
    assert_eq!(shadow(&text, None).unwrap_err(), NoShadow::NoObject);
    assert_eq!(shadow(&d, Some(&json!(1))).unwrap_err(), NoShadow::NoObject);
}

/// RFC 6902, as much of it as is written.
fn apply(value: &mut Value, steps: &Value) {
    for step in steps.as_array().unwrap() {
        let path = step["path"].as_str().unwrap();
        let (above, last) = path.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        match (value.pointer_mut(above).unwrap(), step["op"].as_str().unwrap()) {
            (Value::Object(map), "remove") => _ = map.remove(&last).unwrap(),
            (Value::Object(map), "replace") => *map.get_mut(&last).unwrap() = step["value"].clone(),
            (Value::Object(map), "add") => assert_eq!(map.insert(last, step["value"].clone()), None),
            (Value::Array(list), "replace") => list[last.parse::<usize>().unwrap()] = step["value"].clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn all_fit() -> Deployment {
    Deployment { schema: Some(schema()), namespace: Some("shop".into()), ..deployment() }
}

/// Each product's resource, and its scope.
fn fit(resource: Resource) -> Deployment {
    let d = all_fit();
    match resource {
        Resource::EnvoyExtensionPolicy => {
            let targets = vec![target("Gateway", "gateway.networking.k8s.io")];
            Deployment { scope: Scope { targets, ..Scope::default() }, ..d }
        }
        Resource::HigressWasmPlugin | Resource::Consul => Deployment {
            scope: Scope { whole: Some(Whole::Mesh), ..Scope::default() },
            code: (resource == Resource::Consul).then(|| Code::File("/f.wasm".into())),
            ..d
        },
        _ => d,
    }
}

#[test]
fn a_folder_for_kustomize() {
    for resource in ALL {
        let d = fit(resource);
        let second = written(resource, &d);
        let first = written(resource, &shadow(&d, None).unwrap());
        assert_ne!(first, second, "{resource:?}");
        let files: std::collections::BTreeMap<_, _> =
            folder("hello", &second, Some(&first)).into_iter().collect();
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "base/hello.yaml",
                "base/kustomization.yaml",
                "overlays/enforce/kustomization.yaml",
                "overlays/shadow/kustomization.yaml",
                "overlays/shadow/shadow.yaml",
            ]
        );
        assert_eq!(files["base/kustomization.yaml"]["resources"], json!(["hello.yaml"]));
        assert_eq!(files["overlays/enforce/kustomization.yaml"]["resources"], json!(["../../base"]));
        let patch = &files["overlays/shadow/kustomization.yaml"]["patches"][0];
        assert_eq!(patch["target"]["name"], second["metadata"]["name"]);
        let mut made = files["base/hello.yaml"].clone();
        apply(&mut made, &files["overlays/shadow/shadow.yaml"]);
        assert_eq!(made, first);
    }
    let alone = folder("hello", &written(Resource::WasmPlugin, &all_fit()), None);
    assert!(alone.iter().all(|(path, _)| !path.contains("shadow")));
}

proptest! {
    #[test]
    fn both_steps_fit_the_schema_40(d in any_deployment()) {
        for resource in ALL {
            let d = Deployment { schema: Some(schema()), ..fitting(resource, d.clone()) };
            let (Ok(first), Ok((second, _))) = (shadow(&d, None), render(resource, &d)) else { continue };
            prop_assert_eq!(first.on_failure, OnFailure::Open);
            let (first, _) = render(resource, &first).expect("what enforces may count too");
            prop_assert!(breaches(&first).is_empty(), "{:?}", breaches(&first));
            let files = folder("f", &second, Some(&first));
            let patch = files.iter().find(|(path, _)| path.ends_with("shadow.yaml")).unwrap();
            let mut made = second.clone();
            apply(&mut made, &patch.1);
            prop_assert_eq!(made, first);
        }
    }
}
