//! Response flags: short names of access logs to the bits of `response.flags`.

use super::View;

/// Details of a stream whose client closed the connection, and of one that it reset over HTTP/2.
pub(crate) const LEFT: &str = "downstream_remote_disconnect";
pub(crate) const RESET: &str = "http2.remote_reset";

/// Short names in order of their bits, from bit 0 (Envoy's legacy response flags).
const NAMES: [&str; 29] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX",
    "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
];

/// The bit of a short name; none for one that Envoy 1.40 does not have.
pub(crate) fn flag(name: &str) -> u64 {
    NAMES.iter().position(|known| *known == name).map_or(0, |bit| 1 << bit)
}

/// Those of what this host did itself (row 190); once the stream is over, also the recorded ones of a response that is
/// the upstream's, and of a client that left, its own (rows 110 to 115).
pub(super) fn bits(view: &View<'_>) -> u64 {
    match view.code_details {
        _ if !view.over => view.flags,
        Some(LEFT) => flag("DC"),
        Some(RESET) => flag("DR"),
        _ if view.local => view.flags,
        _ => recorded(view).map(flag).fold(view.flags, |all, bit| all | bit),
    }
}

/// True when the recording says that the connection to the upstream failed.
pub(super) fn upstream_failed(view: &View<'_>) -> bool {
    recorded(view).any(|flag| flag == "UF")
}

fn recorded<'a>(view: &View<'a>) -> impl Iterator<Item = &'a str> {
    view.attributes.response_flags.as_deref().unwrap_or_default().split(',').map(str::trim)
}
