//! The script language.
//!
//! ```text
//! script := block ("|" block)*
//! block  := phase ":" op (";" op)*
//! op     := word (" " word)*
//! ```
//! A phase may end in a number: `rqb2` is the second request body callback of the stream, `call1` the first
//! answer that this filter got; without the number it is every such callback, and `*` is every callback that no
//! other block is for. In a word, `%20` is the byte
//! 0x20, `-` alone is the empty word, and a list of pairs is `name=value,name=value`.

/// The operations of a phase: the block of exactly this occurrence, else the one for every occurrence, else
/// the one for every phase.
pub(crate) fn block<'a>(script: &'a str, phase: &str, count: u32) -> Option<&'a str> {
    let find = |name: &str| {
        script
            .split('|')
            .find_map(|b| b.trim().split_once(':').filter(|(p, _)| p.trim() == name))
            .map(|b| b.1)
    };
    find(&format!("{phase}{count}")).or_else(|| find(phase)).or_else(|| find("*"))
}

/// A word as bytes.
pub(crate) fn bytes(word: &str) -> Vec<u8> {
    if word == "-" {
        return Vec::new();
    }
    let (mut out, raw) = (Vec::new(), word.as_bytes());
    let mut i = 0;
    while i < raw.len() {
        let hex = (raw[i] == b'%').then(|| word.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(raw[i]);
                i += 1;
            }
        }
    }
    out
}

/// A list of pairs in the form that the ABI wants.
pub(crate) fn pairs(word: &str) -> Vec<u8> {
    if word.is_empty() || word == "-" {
        return Vec::new();
    }
    let list: Vec<(Vec<u8>, Vec<u8>)> =
        word.split(',').filter_map(|p| p.split_once('=')).map(|(k, v)| (bytes(k), bytes(v))).collect();
    let mut out = (list.len() as u32).to_le_bytes().to_vec();
    for (k, v) in &list {
        out.extend((k.len() as u32).to_le_bytes());
        out.extend((v.len() as u32).to_le_bytes());
    }
    for (k, v) in &list {
        out.extend(k);
        out.push(0);
        out.extend(v);
        out.push(0);
    }
    out
}

/// Bytes as a quoted word: what is not printable ASCII is escaped.
pub(crate) fn show(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// An encoded list of pairs for people. Our own script headers are left out.
pub(crate) fn show_pairs(raw: &[u8]) -> String {
    match shown_pairs(raw) {
        Some(shown) => format!("[{}]", shown.join(", ")),
        None if raw.is_empty() => "[]".into(),
        None => "[broken]".into(),
    }
}

/// An encoded map for people, sorted.
pub(crate) fn show_map(raw: &[u8]) -> String {
    let Some(mut shown) = shown_pairs(raw) else { return "[broken]".into() };
    shown.sort();
    format!("{{{}}}", shown.join(", "))
}

fn shown_pairs(raw: &[u8]) -> Option<Vec<String>> {
    let word = |i: usize| raw.get(i..i + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let count = word(0)?;
    let mut at = 4 + 8 * count;
    let mut shown = Vec::new();
    for i in 0..count {
        let (k, v) = (word(4 + 8 * i)?, word(8 + 8 * i)?);
        let (key, value) = (raw.get(at..at + k)?, raw.get(at + k + 1..at + k + 1 + v)?);
        at += k + v + 2;
        if !key.starts_with(b"x-script") {
            shown.push(format!("{}={}", key.escape_ascii(), value.escape_ascii()));
        }
    }
    Some(shown)
}
