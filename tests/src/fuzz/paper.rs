//! A row as text: the file that it is read from.

use crate::row::{Answer, Row};
use anyhow::Result;
use serde_json::{Map, Value};

/// The row as YAML, without what is so anyway.
///
/// # Errors
/// When it cannot be written as text.
pub fn yaml(row: &Row) -> Result<String> {
    let mut value = serde_json::to_value(row)?;
    if let Some(fields) = value.as_object_mut() {
        let usual = serde_json::to_value(Answer::default())?;
        each(fields.get_mut("exchanges"), |step| {
            if let Some(answer) = step.get_mut("answer").and_then(Value::as_object_mut) {
                without(answer, &usual);
            }
            sparse(step);
        });
        each(fields.get_mut("chain"), sparse);
        let clusters = fields.get_mut("callouts").and_then(Value::as_object_mut);
        for (_, answers) in clusters.into_iter().flatten() {
            each(Some(answers), |answer| without(answer, &usual));
        }
        if let Some(proxy) = fields.get_mut("proxy").and_then(Value::as_object_mut) {
            sparse(proxy);
        }
        sparse(fields);
    }
    Ok(serde_saphyr::to_string(&value)?)
}

fn each(list: Option<&mut Value>, edit: impl Fn(&mut Map<String, Value>)) {
    let all = list.and_then(Value::as_array_mut).into_iter().flatten();
    all.filter_map(Value::as_object_mut).for_each(edit);
}

/// Drops what is as in `usual`.
fn without(fields: &mut Map<String, Value>, usual: &Value) {
    fields.retain(|name, value| usual.get(name) != Some(value));
}

/// Drops what is empty, and the policy that all have.
fn sparse(fields: &mut Map<String, Value>) {
    fields.retain(|name, value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => !(text.is_empty() || name == "policy" && text == "closed"),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) => true,
    });
}
