//! The functions of WASI that do more than say no.

use super::{Answer, Call, Errno, Host};
use tamis_traffic::LogLevel;

/// Longest line of a standard stream that is kept, in bytes (64 KiB), as for `proxy_log`. The filter is told
/// that all of it was written.
const LINE_LIMIT: usize = 64 << 10;
/// Most bytes of one `random_get` (64 KiB), Envoy's own limit.
const RANDOM_LIMIT: u32 = 64 << 10;

/// One log line for each call; one newline at its end is dropped; nothing written is no line.
pub(super) fn write<T: Host>(call: &mut Call<'_, '_, T>, fd: u32, iovs: u32, count: u32, ret: u32) -> Answer {
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return Err(Errno::BAD_FD),
    };
    let (mut view, host) = call.split()?;
    let mut line = Vec::new();
    let mut written = 0u32;
    let mut last = 0;
    for iov in 0..count {
        let at = iov.checked_mul(8).and_then(|offset| iovs.checked_add(offset)).ok_or(Errno::FAULT)?;
        let (from, len) = (view.read_u32(at)?, view.read_u32(at.checked_add(4).ok_or(Errno::FAULT)?)?);
        if len == 0 {
            continue;
        }
        let text = view.read(from, len)?;
        // More than 4 GiB in one call needs the same bytes many times; Envoy would run out of memory.
        written = written.checked_add(len).ok_or(Errno::INVALID)?;
        last = text[text.len() - 1];
        let room = LINE_LIMIT - line.len();
        line.extend_from_slice(&text[..text.len().min(room)]);
    }
    if written > 0 {
        if last == b'\n' && line.len() == written as usize {
            line.pop();
        }
        host.log(level, &line);
    }
    Ok(view.write_u32(ret, written)?)
}

/// Does nothing; Envoy notes it for itself at the finest level.
pub(super) fn note<T: Host>(call: &mut Call<'_, '_, T>, name: &str) -> Answer {
    call.host().log(LogLevel::Trace, format!("wasi_unstable {name}").as_bytes());
    Ok(())
}

/// The standard output streams are all there is.
pub(super) fn stream(fd: u32) -> Answer {
    if matches!(fd, 1 | 2) { Ok(()) } else { Err(Errno::BAD_FD) }
}

/// Position 0.
pub(super) fn tell<T: Host>(call: &mut Call<'_, '_, T>, fd: u32, ret: u32) -> Answer {
    stream(fd)?;
    Ok(call.split()?.0.write_u64(ret, 0)?)
}

/// Rights to write and nothing else; a bad address is not told (measured).
pub(super) fn fdstat<T: Host>(call: &mut Call<'_, '_, T>, fd: u32, ret: u32) -> Answer {
    stream(fd)?;
    let mut stat = [0; 24];
    stat[8] = 64;
    let _ = call.split()?.0.write(ret, &stat);
    Ok(())
}

/// No event; an older Envoy does not have it (docs/envoy.md 2.14).
pub(super) fn poll<T: Host>(call: &mut Call<'_, '_, T>, ret: u32) -> Answer {
    if !call.host().polls() {
        return Err(Errno::NO_SYSTEM);
    }
    words(call, &[(ret, 0)])
}

/// Pointers to `list`, `KEY=value` with a zero byte each to `buf`.
pub(super) fn environ<T: Host>(call: &mut Call<'_, '_, T>, mut list: u32, mut buf: u32) -> Answer {
    let variables = call.host().env().to_vec();
    let (mut view, _) = call.split()?;
    for (key, value) in variables {
        view.write_u32(list, buf)?;
        let text = [key.as_bytes(), b"=", value.as_bytes(), b"\0"].concat();
        view.write(buf, &text)?;
        list = list.checked_add(4).ok_or(Errno::FAULT)?;
        buf = buf.checked_add(text.len() as u32).ok_or(Errno::FAULT)?;
    }
    Ok(())
}

/// How many variables there are, and how many bytes [`environ`] writes to `buf`.
pub(super) fn environ_sizes<T: Host>(call: &mut Call<'_, '_, T>, count: u32, size: u32) -> Answer {
    let env = call.host().env();
    let bytes: usize = env.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let variables = env.len() as u32;
    words(call, &[(count, variables), (size, bytes as u32)])
}

/// 0 is the wall clock, 1 the monotonic one.
pub(super) fn time<T: Host>(call: &mut Call<'_, '_, T>, id: u32, ret: u32) -> Answer {
    let now = match id {
        0 => call.host().wall(),
        1 => call.host().monotonic(),
        _ => return Err(Errno::NOT_SUPPORTED),
    };
    Ok(call.split()?.0.write_u64(ret, now)?)
}

/// A nanosecond.
pub(super) fn resolution<T: Host>(call: &mut Call<'_, '_, T>, id: u32, ret: u32) -> Answer {
    if id > 1 {
        return Err(Errno::NOT_SUPPORTED);
    }
    Ok(call.split()?.0.write_u64(ret, 1)?)
}

pub(super) fn random<T: Host>(call: &mut Call<'_, '_, T>, buf: u32, len: u32) -> Answer {
    if len > RANDOM_LIMIT {
        return Err(Errno::INVALID);
    }
    let (mut view, host) = call.split()?;
    host.random(view.slice_mut(buf, len as usize)?);
    Ok(())
}

/// Writes words.
pub(super) fn words<T: Host>(call: &mut Call<'_, '_, T>, words: &[(u32, u32)]) -> Answer {
    let (mut view, _) = call.split()?;
    words.iter().try_for_each(|(at, value)| Ok(view.write_u32(*at, *value)?))
}
