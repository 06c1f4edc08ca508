//! Header maps: which map a filter can reach when, and what reading and writing it does (docs/envoy.md 2.1).

use super::{Answer, Call, Stop};
use crate::chain::{Dir, Map, RESPONSE_HEADERS};
use crate::headermap::{self, MapKind};
use crate::stage::Desk;
use crate::world::LimitReached;
use tamis_abi::{Status, pairs};
use tamis_traffic::Headers;

/// The largest map number.
const LAST_MAP: u32 = 7;

/// The map as the effective context may read it; none where Envoy has no pointer to it (docs/envoy.md 2.1.12).
fn readable(desk: &Desk, map: u32) -> Option<&Headers> {
    if map > 3 {
        return of_answer(desk, map);
    }
    let at = desk.at.effective;
    let map = map as usize;
    if !at.stream {
        return None;
    }
    let seat = desk.stream.seats.get(at.filter)?;
    if seat.logging && map == RESPONSE_HEADERS && desk.stream.past.is_some() {
        return desk.stream.past.as_ref();
    }
    // In `proxy_on_log` all maps are there to read but the request trailers, which are not even where they can be written,
    // nor response trailers that are made only then.
    let logged = |map| map != 1 && (map != 3 || desk.stream.logged_trailers);
    let open = if seat.logging { logged(map) } else { seat.open[map] };
    let map = &desk.stream.maps[map];
    (open && map.present).then_some(&map.headers)
}

/// A map of the answer that the running callback is told of.
fn of_answer(desk: &Desk, map: u32) -> Option<&Headers> {
    let open = &desk.callouts.open;
    match map {
        4 => open.initial.as_ref(),
        5 => open.trailing.as_ref(),
        6 => Some(&open.http.as_ref()?.headers),
        _ => open.http.as_ref()?.trailers.get(),
    }
}

/// The map as the effective context may write it, with the filter that does. Trailers come into being here,
/// in a body callback that saw the end (docs/envoy.md 2.1.13). What a callback stopped at stays writable to the
/// end of the stream, also once it has left.
fn writable(desk: &mut Desk, map: u32) -> Answer<(&mut Map, MapKind)> {
    let at = desk.at.effective;
    if map > 3 || !at.stream {
        return Err(Stop::Tell(Status::BadArgument));
    }
    let number = map as usize;
    if number == RESPONSE_HEADERS {
        desk.manage_response();
    }
    let dir = if number < 2 { Dir::Request } else { Dir::Response };
    let stream = &mut desk.stream;
    let known = stream.known_change(at.filter, dir);
    let seat = stream.seats.get_mut(at.filter).ok_or(Status::BadArgument)?;
    if !seat.open[number] {
        let trailers = number % 2 == 1;
        let body = seat.sides[dir as usize].body != crate::chain::BodyView::Nothing;
        if !(trailers && body && seat.eos) {
            return Err(Stop::Tell(Status::BadArgument));
        }
        seat.open[number] = true;
        // Also in the place of trailers that are there but out of reach.
        stream.maps[number].present = true;
        stream.maps[number].headers.clear();
        stream.body_changed(at.filter, dir);
    }
    let map = &mut desk.stream.maps[number];
    map.touch(known);
    Ok((map, kind_of(number)))
}

fn kind_of(map: usize) -> MapKind {
    match map {
        0 => MapKind::RequestHeaders,
        1 => MapKind::RequestTrailers,
        2 => MapKind::ResponseHeaders,
        _ => MapKind::ResponseTrailers,
    }
}

/// The rules under which a map of any number is read: those of callouts are a response's.
fn read_kind(map: u32) -> MapKind {
    kind_of(if map > 3 { 2 + (map as usize & 1) } else { map as usize })
}

/// 1 absent (ABI 0.1.0: 0 with an empty value), 2 unavailable (in `proxy_on_log`: 1).
pub(super) fn get(call: &mut Call<'_, '_>, map: u32, key: u32, klen: u32, at: u32, len: u32) -> Answer {
    let (view, desk) = call.split()?;
    let name = view.read(key, klen)?;
    if map as usize == RESPONSE_HEADERS {
        desk.manage_response();
    }
    let Some(headers) = readable(desk, map) else {
        let seat = desk.stream.seats.get(desk.at.effective.filter).filter(|_| !desk.stream.tcp);
        let logging = desk.at.effective.stream && seat.is_some_and(|s| s.logging);
        let status = if logging && map <= LAST_MAP { Status::NotFound } else { Status::BadArgument };
        return Err(Stop::Tell(status));
    };
    let found = headermap::position(headers, read_kind(map), name);
    let Some((index, size)) = found.and_then(|i| Some((i, headers.at(i)?.1.len()))) else {
        return if call.is_0_1_0() {
            call.give_bytes(&[], at, len)
        } else {
            Err(Stop::Tell(Status::NotFound))
        };
    };
    // The filter's allocator, which runs before the value is copied, cannot change a map.
    call.give(size, at, len, |desk, out| {
        if let Some((_, value)) = readable(desk, map).and_then(|headers| headers.at(index)) {
            out.copy_from_slice(value);
        }
    })
}

/// A way to write a value.
type Write = fn(&mut Headers, MapKind, &[u8], &[u8]) -> Result<(), LimitReached>;

pub(super) fn add(call: &mut Call<'_, '_>, map: u32, key: u32, klen: u32, val: u32, vlen: u32) -> Answer {
    write(call, map, (key, klen), (val, vlen), headermap::add)
}

pub(super) fn replace(call: &mut Call<'_, '_>, map: u32, key: u32, klen: u32, val: u32, vlen: u32) -> Answer {
    write(call, map, (key, klen), (val, vlen), headermap::replace)
}

fn write(call: &mut Call<'_, '_>, map: u32, key: (u32, u32), value: (u32, u32), how: Write) -> Answer {
    let (view, desk) = call.split()?;
    let (key, value) = (view.read(key.0, key.1)?, view.read(value.0, value.1)?);
    let (map, kind) = writable(desk, map)?;
    if suspicious(key, value) {
        map.suspect = true;
    }
    how(&mut map.headers, kind, key, value)?;
    Ok(())
}

/// Worth a look at the router: a pseudo header, nothing, or bytes that it may refuse (docs/envoy.md 2.1.8, 2.1.9).
fn suspicious(key: &[u8], value: &[u8]) -> bool {
    key.first() == Some(&b':') || value.is_empty() || !headermap::is_name(key) || !headermap::is_value(value)
}

/// Removing an absent key is 0.
pub(super) fn remove(call: &mut Call<'_, '_>, map: u32, key: u32, klen: u32) -> Answer {
    let (view, desk) = call.split()?;
    let key = view.read(key, klen)?;
    let (map, kind) = writable(desk, map)?;
    let routing = [&b"host"[..], b"x-forwarded-proto"];
    if key.first() == Some(&b':') || routing.iter().any(|r| key.eq_ignore_ascii_case(r)) {
        map.suspect = true;
    }
    headermap::remove(&mut map.headers, kind, key);
    Ok(())
}

/// 0 also for an unavailable map, with nothing in it; 2 above 7.
pub(super) fn get_pairs(call: &mut Call<'_, '_>, map: u32, at: u32, len: u32) -> Answer {
    if map > LAST_MAP {
        return Err(Stop::Tell(Status::BadArgument));
    }
    if map as usize == RESPONSE_HEADERS {
        call.desk().manage_response();
    }
    let size = readable(call.desk(), map).map_or(0, |h| pairs::encoded_len(h.iter()));
    call.give(size, at, len, |desk, out| {
        if let Some(headers) = readable(desk, map) {
            pairs::encode(headers.iter(), out);
        }
    })
}

/// Undecodable input wipes the map and is 0 (docs/envoy.md 1.3, 2.1.10).
pub(super) fn set_pairs(call: &mut Call<'_, '_>, map: u32, at: u32, len: u32) -> Answer {
    let (view, desk) = call.split()?;
    let bytes = view.read(at, len)?;
    let (map, kind) = writable(desk, map)?;
    map.suspect = true;
    headermap::set_pairs(&mut map.headers, kind, bytes)?;
    Ok(())
}

/// The sum of key and value bytes. As the writing functions, it makes trailers at the end of a body.
pub(super) fn size(call: &mut Call<'_, '_>, map: u32, ret: u32) -> Answer {
    let (map, _) = writable(call.desk(), map)?;
    let size = map.headers.byte_len() as u32;
    call.put(ret, size)
}
