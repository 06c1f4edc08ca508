//! `declare_property` and `set_envoy_filter_state`.

use super::Answer;
use super::proto::{Field, read, text};
use crate::profile::since;
use crate::properties::{Declared, Type};
use crate::stage::Desk;
use tamis_abi::Status;

/// Most keys that one root declares (4,096); beyond it the playback ends.
const DECLARED_LIMIT: usize = 4_096;

/// Bytes of keys and schemas that one root declares, and of filter state of one stream (1 MiB), as for `proxy_set_property`.
const STATE_LIMIT: usize = 1 << 20;

/// Declares how a property of the current context is kept. What a stream context declares changes nothing: values
/// are set by what their root declared (docs/envoy.md 2.10).
pub(super) fn declare(desk: &mut Desk, args: &[u8]) -> Answer {
    let (mut key, mut schema, mut ty, mut read_only) = ("", "", 0, false);
    read(args, |number, field| {
        match (number, field) {
            (1, Field::Bytes(bytes)) => key = text(bytes)?,
            (2, Field::Number(number)) => read_only = number != 0,
            (3, Field::Number(number)) => ty = number,
            (4, Field::Bytes(bytes)) => schema = std::str::from_utf8(bytes).unwrap_or_default(),
            // How long it lives: a replay has one filter chain for each stream.
            _ => {}
        }
        Ok(())
    })?;
    let at = desk.at.current;
    if at.stream {
        desk.keep(key.len());
        return Ok(desk.properties.declare(at.filter, key.as_bytes())?);
    }
    let plugin = desk.plugins.get_mut(at.filter).ok_or(Status::NotFound)?;
    if plugin.declared.iter().any(|d| d.key == key.as_bytes()) {
        return Err(Status::BadArgument.into());
    }
    if plugin.declared.len() >= DECLARED_LIMIT {
        let (what, unit) = ("declared properties", "keys");
        return Err(crate::world::LimitReached { what, limit: DECLARED_LIMIT, unit }.into());
    }
    let used: usize = plugin.declared.iter().map(|d| d.key.len() + d.ty.len()).sum();
    if used + key.len() + schema.len() > STATE_LIMIT {
        let (what, unit) = ("declared properties", "bytes");
        return Err(crate::world::LimitReached { what, limit: STATE_LIMIT, unit }.into());
    }
    let ty = match ty {
        1 => Type::Text,
        2 => Type::FlatBuffer,
        3 => Type::Proto(schema.to_owned()),
        _ => Type::Bytes,
    };
    plugin.declared.push(Declared { key: key.as_bytes().to_vec(), ty, read_only });
    Ok(())
}

/// Stores an object of Envoy's for the stream: 1 on a root context and for names that Envoy does not know, 2 for
/// values that are none of their kind.
pub(super) fn set_envoy(desk: &mut Desk, args: &[u8]) -> Answer {
    let (mut name, mut value) = ("", "");
    read(args, |number, field| {
        match (number, field) {
            (1, Field::Bytes(bytes)) => name = text(bytes)?,
            (2, Field::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
        Ok(())
    })?;
    let effective = desk.profile.has(since::EFFECTIVE_CONTEXT);
    let at = if effective { desk.at.effective } else { desk.at.current };
    if !at.stream {
        return Err(Status::NotFound.into());
    }
    if desk.properties.len() + value.len() > STATE_LIMIT {
        let (what, unit) = ("filter state", "bytes of one stream");
        return Err(crate::world::LimitReached { what, limit: STATE_LIMIT, unit }.into());
    }
    Ok(desk.properties.set_envoy(&desk.profile, name, value)?)
}
