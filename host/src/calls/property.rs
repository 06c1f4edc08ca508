//! Properties: what a filter may ask of the stream beside its headers (docs/envoy.md 2.9).

use super::{Answer, Call, Stop, unsupported};
use crate::headermap;
use crate::properties::Missing;
use crate::stage::Desk;
use tamis_abi::Status;
use tamis_traffic::FaultKind;

/// Most bytes of filter state that one stream keeps (1 MiB); beyond it the playback ends.
const STATE_LIMIT: usize = 1 << 20;

pub(super) fn get(call: &mut Call<'_, '_>, path: u32, plen: u32, at: u32, len: u32) -> Answer {
    let (view, desk) = call.split()?;
    let path = view.read(path, plen)?;
    whole_map(desk, path);
    desk.manage_response();
    let value = match crate::stage::property(desk, path) {
        Ok(value) => value.into_owned(),
        Err(Missing::Status(status)) => return Err(Stop::Tell(status)),
        Err(Missing::NotSupported(what)) => return Err(unsupported::end(&what)),
    };
    call.give_bytes(&value, at, len)
}

/// Reading all headers crashes Envoy when a filter has put in a name that no header may have (docs/envoy.md 2.15).
fn whole_map(desk: &mut Desk, path: &[u8]) {
    let number = match path {
        b"request\0headers" => 0,
        b"response\0headers" => 2,
        _ => return,
    };
    let at = desk.at.effective;
    let reads = desk.stream.seats.get(at.filter).is_some_and(|seat| seat.open[number] || seat.logging);
    let map = &desk.stream.maps[number];
    let odd = |name: &[u8]| !name.is_empty() && !headermap::is_name(name);
    if at.stream && reads && map.present && map.suspect && map.headers.names().any(odd) {
        let text = "reads all headers, and one has a name that no header may have: Envoy crashes";
        desk.fault(FaultKind::WouldCrash, Some(at.filter), text);
    }
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
