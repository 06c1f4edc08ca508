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

/// The recorded flags once the stream is over, none before; of a client that left, its own (rows 110 to 115). Names
/// that Envoy 1.40 does not have are left out.
pub(super) fn bits(view: &View<'_>) -> u64 {
    if !view.over {
        return 0;
    }
    let bit = |name: &str| NAMES.iter().position(|known| *known == name).map_or(0, |bit| 1 << bit);
    match view.code_details {
        Some(LEFT) => bit("DC"),
        Some(RESET) => bit("DR"),
        _ => recorded(view).map(bit).fold(0, |all, bit| all | bit),
    }
}

/// True when the recording says that the connection to the upstream failed.
pub(super) fn upstream_failed(view: &View<'_>) -> bool {
    recorded(view).any(|flag| flag == "UF")
}

fn recorded<'a>(view: &View<'a>) -> impl Iterator<Item = &'a str> {
    view.attributes.response_flags.as_deref().unwrap_or_default().split(',').map(str::trim)
}
