//! A Kustomize folder: the resource as it is meant to stay, and one overlay for each step of a rollout.

use serde_json::{Value, json};

/// The files of a folder by their path in it: `base/` with the resource that enforces, `overlays/enforce`, and
/// `overlays/shadow` when there is such a step, which says what is otherwise (RFC 6902, as Kustomize's `patches` take it).
pub fn folder(name: &str, enforce: &Value, shadow: Option<&Value>) -> Vec<(String, Value)> {
    let kustomization = |resource: String| {
        json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [resource],
        })
    };
    let base = || kustomization("../../base".to_owned());
    let mut files = vec![
        (format!("base/{name}.yaml"), enforce.clone()),
        ("base/kustomization.yaml".to_owned(), kustomization(format!("{name}.yaml"))),
        ("overlays/enforce/kustomization.yaml".to_owned(), base()),
    ];
    if let Some(shadow) = shadow {
        let mut overlay = base();
        let target = json!({"kind": enforce["kind"], "name": enforce["metadata"]["name"]});
        overlay["patches"] = json!([{"target": target, "path": "shadow.yaml"}]);
        let mut steps = Vec::new();
        difference(enforce, shadow, &mut String::new(), &mut steps);
        files.push(("overlays/shadow/kustomization.yaml".to_owned(), overlay));
        files.push(("overlays/shadow/shadow.yaml".to_owned(), steps.into()));
    }
    files
}

/// What turns one value into the other, as operations of RFC 6902.
fn difference(from: &Value, to: &Value, path: &mut String, steps: &mut Vec<Value>) {
    let length = path.len();
    let go = |path: &mut String, key: &str| {
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
    };
    match (from, to) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                go(path, key);
                match new.get(key) {
                    Some(other) => difference(value, other, path, steps),
                    None => steps.push(json!({"op": "remove", "path": path.as_str()})),
                }
                path.truncate(length);
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                go(path, key);
                steps.push(json!({"op": "add", "path": path.as_str(), "value": value}));
                path.truncate(length);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (value, other)) in old.iter().zip(new).enumerate() {
                go(path, &index.to_string());
                difference(value, other, path, steps);
                path.truncate(length);
            }
        }
        _ if from == to => {}
        _ => steps.push(json!({"op": "replace", "path": path.as_str(), "value": to})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_name_what_differs() {
        let mut steps = Vec::new();
        let from = json!({"a": {"b/c": 1, "d~": [1, {"x": true}], "gone": 0}, "same": [], "list": [1]});
        let to =
            json!({"a": {"b/c": 2, "d~": [1, {"x": false}]}, "same": [], "list": [1, 2], "new": {"y": 1}});
        difference(&from, &to, &mut String::new(), &mut steps);
        let want = json!([
            {"op": "replace", "path": "/a/b~1c", "value": 2},
            {"op": "replace", "path": "/a/d~0/1/x", "value": false},
            {"op": "remove", "path": "/a/gone"},
            {"op": "replace", "path": "/list", "value": [1, 2]},
            {"op": "add", "path": "/new", "value": {"y": 1}},
        ]);
        assert_eq!(Value::from(steps), want);
    }
}
