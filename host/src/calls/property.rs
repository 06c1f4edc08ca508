//! Properties: what a filter may ask of the stream beside its headers (docs/envoy.md 2.9).

use super::{Answer, Call, Stop, unsupported};
use crate::properties::Missing;
use tamis_abi::Status;

/// Most bytes of filter state that one stream keeps (1 MiB); beyond it the playback ends.
const STATE_LIMIT: usize = 1 << 20;

pub(super) fn get(call: &mut Call<'_, '_>, path: u32, plen: u32, at: u32, len: u32) -> Answer {
    let (view, desk) = call.split()?;
    let path = view.read(path, plen)?;
    let value = match crate::stage::property(desk, path) {
        Ok(value) => value.into_owned(),
        Err(Missing::Status(status)) => return Err(Stop::Tell(status)),
        Err(Missing::NotSupported(what)) => return Err(unsupported::end(&what)),
    };
    call.give_bytes(&value, at, len)
}

/// 1 on a root context, 2 for what was declared to be set once and is. The key is taken as it is, not split.
pub(super) fn set(call: &mut Call<'_, '_>, key: u32, klen: u32, val: u32, vlen: u32) -> Answer {
    let (view, desk) = call.split()?;
    let (key, value) = (view.read(key, klen)?, view.read(val, vlen)?);
    let at = desk.at.effective;
    if !at.stream {
        return Err(Stop::Tell(Status::NotFound));
    }
    if desk.properties.len() + key.len() + value.len() > STATE_LIMIT {
        return Err(crate::world::LimitReached {
            what: "filter state",
            limit: STATE_LIMIT,
            unit: "bytes of one stream",
        }
        .into());
    }
    let declared = desk.plugins.get(at.filter).and_then(|p| p.declared.iter().find(|d| d.key == key));
    Ok(desk.properties.set(key, value, declared)?)
}
