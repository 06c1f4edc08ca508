//! Envoy's response flags: short names in logs, bits in `response.flags`.

/// Short names in the order of their bits (Envoy 1.40, `CoreResponseFlag` in `envoy/stream_info/stream_info.h`).
const FLAGS: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX",
    "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
];

/// The bits of a list of short names (`UF,URX`); unknown ones have none.
pub(super) fn bits(names: &str) -> i64 {
    let bit = |name: &str| FLAGS.iter().position(|flag| *flag == name.trim()).map_or(0, |at| 1 << at);
    names.split(',').map(bit).fold(0, |all, bit| all | bit)
}

#[cfg(test)]
mod tests {
    #[test]
    fn bits_of_names() {
        for (names, want) in
            [("", 0), ("-", 0), ("LH", 1), ("UF,URX", 0x8020), ("UDO", 1 << 29), ("UF, UF", 0x20)]
        {
            assert_eq!(super::bits(names), want, "{names}");
        }
    }
}
