//! Properties: what a filter may ask of the stream beside its headers (docs/envoy.md 2.9).

use super::{Answer, Call, Stop};
use tamis_abi::Status;

/// Most bytes of filter state that one stream keeps (1 MiB); beyond it the playback ends.
const STATE_LIMIT: usize = 1 << 20;

pub(super) fn get(call: &mut Call<'_, '_>, path: u32, plen: u32, at: u32, len: u32) -> Answer {
    let (view, desk) = call.split()?;
    let path = view.read(path, plen)?;
    let value = crate::stage::property(desk, path)?.into_owned();
    call.give_bytes(&value, at, len)
}

/// 1 on a root context. The key is taken as it is, not split.
pub(super) fn set(call: &mut Call<'_, '_>, key: u32, klen: u32, val: u32, vlen: u32) -> Answer {
    let (view, desk) = call.split()?;
    let (key, value) = (view.read(key, klen)?, view.read(val, vlen)?);
    if !desk.at.effective.stream {
        return Err(Stop::Tell(Status::NotFound));
    }
    let state = &mut desk.properties;
    if let Some(entry) = state.iter_mut().find(|e| e.0 == key) {
        entry.1 = value.to_vec();
        return Ok(());
    }
    let used: usize = state.iter().map(|e| e.0.len() + e.1.len()).sum();
    if used + key.len() + value.len() > STATE_LIMIT {
        return Err(crate::world::LimitReached {
            what: "filter state",
            limit: STATE_LIMIT,
            unit: "bytes of one stream",
        }
        .into());
    }
    state.push((key.to_vec(), value.to_vec()));
    Ok(())
}
