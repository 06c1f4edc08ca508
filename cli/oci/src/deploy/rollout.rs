//! A rollout in two steps: first the filter only counts what it would do, then it does it.

use super::{Deployment, OnFailure};
use serde_json::{Map, Value, json};
use std::fmt;

/// The setting by which a filter only counts, and its value: that of the filters of this house.
const MODE: (&str, &str) = ("mode", "SHADOW");

/// How many parts of a schema are looked at: those of strangers may refer to one another in circles.
const PARTS: u32 = 1000;

/// Why there is no step in which the filter only counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoShadow {
    /// The module carries no schema, so nobody knows what it can be told.
    NoSchema,
    /// Its schema has no `mode` that takes `SHADOW`.
    NoMode,
    /// Its configuration is no object, so nothing can be put into it.
    NoObject,
}

impl fmt::Display for NoShadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoShadow::NoSchema => "the module carries no schema that would say how it is told to only count",
            NoShadow::NoMode => "the schema that the module carries has no `mode` that takes `SHADOW`",
            NoShadow::NoObject => "the configuration is no JSON object, so no setting can be put into it",
        })
    }
}

impl std::error::Error for NoShadow {}

/// The same deployment as a step in which the filter only counts: by `settings` that are merged into its configuration
/// (RFC 7396), else by `mode: SHADOW` where its schema has that. Traffic passes when it breaks: a filter that only
/// looks on must not take anything down.
///
/// # Errors
/// When the filter has no such setting, or nobody knows of one.
pub fn shadow(deployment: &Deployment, settings: Option<&Value>) -> Result<Deployment, NoShadow> {
    let settings = match (settings, &deployment.schema) {
        (Some(settings), _) => settings.clone(),
        (None, None) => return Err(NoShadow::NoSchema),
        (None, Some(schema)) if takes(schema) => json!({MODE.0: MODE.1}),
        (None, Some(_)) => return Err(NoShadow::NoMode),
    };
    let mut config = deployment.config.clone().unwrap_or_else(|| json!({}));
    if !config.is_object() || !settings.is_object() {
        return Err(NoShadow::NoObject);
    }
    merge(&mut config, &settings);
    Ok(Deployment { config: Some(config), on_failure: OnFailure::Open, shadow: true, ..deployment.clone() })
}

/// Whether an object of this schema has the setting.
fn takes(root: &Value) -> bool {
    any(root, root, &mut { PARTS }, &|part| {
        let mode = part["properties"].get(MODE.0);
        mode.is_some_and(|mode| any(root, mode, &mut { PARTS }, &admits))
    })
}

/// Whether the value is one that this part of a schema lets through by name.
fn admits(part: &Value) -> bool {
    part["const"] == MODE.1 || part["enum"].as_array().is_some_and(|all| all.iter().any(|v| v == MODE.1))
}

/// Whether this holds for a schema, or for one that it refers to.
fn any(root: &Value, schema: &Value, left: &mut u32, holds: &dyn Fn(&Value) -> bool) -> bool {
    let Some(less) = left.checked_sub(1) else { return false };
    *left = less;
    if holds(schema) {
        return true;
    }
    let named = schema["$ref"].as_str().and_then(|name| root.pointer(name.strip_prefix('#')?));
    let parts = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    named.into_iter().chain(parts).any(|part| any(root, part, left, holds))
}

/// RFC 7396: objects field by field, `null` takes a field away, anything else is put in the place.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(into) = into else { return };
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_that_of_rfc_7396() {
        // The RFC's own examples.
        for (target, patch, want) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut target = target;
            merge(&mut target, &patch);
            assert_eq!(target, want);
        }
    }

    #[test]
    fn a_mode_is_found_wherever_the_schema_hides_it() {
        let takes = |schema: Value| takes(&schema);
        assert!(takes(json!({"properties": {"mode": {"enum": ["ENFORCE", "SHADOW"]}}})));
        let refers = json!({
            "properties": {"mode": {"$ref": "#/$defs/Mode", "default": "ENFORCE"}},
            "$defs": {"Mode": {"oneOf": [{"const": "ENFORCE"}, {"const": "SHADOW"}]}},
        });
        assert!(takes(refers));
        assert!(takes(json!({"allOf": [{"properties": {"mode": {"anyOf": [{"const": "SHADOW"}]}}}]})));
        assert!(!takes(json!({"properties": {"mode": {"type": "string"}}})));
        assert!(!takes(json!({"properties": {"rules": {"properties": {"mode": {"const": "SHADOW"}}}}})));
        assert!(!takes(json!({"$ref": "#", "anyOf": [{"$ref": "#"}, {"$ref": "#"}]})));
        assert!(!takes(json!([])));
    }
}
