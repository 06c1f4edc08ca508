//! `proxy_log` and its level.

use super::{Answer, Call};
use tamis_abi::Status;
use tamis_traffic::LogLevel;

/// Longest log line that is kept, in bytes (64 KiB). Longer ones are cut there; the filter sees no difference.
const LINE_LIMIT: usize = 64 << 10;

const LEVELS: [LogLevel; 6] =
    [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Critical];

/// 2 for a level above 5; below the threshold still 0 (docs/envoy.md 1.2).
pub(super) fn log(call: &mut Call<'_, '_>, level: u32, at: u32, len: u32) -> Answer {
    let level = *LEVELS.get(level as usize).ok_or(Status::BadArgument)?;
    let (view, desk) = call.split()?;
    let text = view.read(at, len)?;
    desk.log(level, &text[..text.len().min(LINE_LIMIT)]);
    Ok(())
}

pub(super) fn get_log_level(call: &mut Call<'_, '_>, ret: u32) -> Answer {
    let level = call.desk().level as u32;
    call.put(ret, level)
}
