//! Header lists as one word each: how they travel to and from the witnesses.

use tamis_traffic::Headers;

/// The header that carries a packed list over the wire.
pub(crate) const PACKED: &str = "x-tamis-packed";

/// Bytes of a packed list that one header field carries: codecs bound the length of a field (64 KiB).
const FIELD: usize = 16 << 10;

/// The values of the packed header fields, in order. `marks` tell the witnesses more than the list does: words
/// that they know.
pub(crate) fn pack(headers: &Headers, marks: &[&str]) -> Vec<String> {
    let marks: Vec<String> = marks.iter().map(|mark| format!("!{mark}=1")).collect();
    let mut text = marks.join("&");
    for (name, value) in headers.iter() {
        if !text.is_empty() {
            text.push('&');
        }
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    if text.is_empty() {
        text.push('&');
    }
    text.as_bytes().chunks(FIELD).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}

/// The list that a witness wrote down.
pub(crate) fn unpack(text: &str) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in text.split('&').filter_map(|field| field.split_once('=')) {
        headers.push(&unescape(name), &unescape(value));
    }
    headers
}

fn escape(bytes: &[u8], into: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b":/._-".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let (raw, mut out, mut i) = (text.as_bytes(), Vec::new(), 0);
    while i < raw.len() {
        let hex = (raw[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_list_comes_back_as_it_was() {
        let mut headers = Headers::new();
        headers.push(b":path", b"/a?b=c&d=%20");
        headers.push(b"x-bytes", &(0..=255).collect::<Vec<u8>>());
        headers.push(b"x-empty", b"");
        headers.push(b"x-long", &vec![b'%'; 3 * FIELD]);
        let packed = pack(&headers, &[]);
        assert!(packed.len() > 1 && packed.iter().all(|p| p.len() <= FIELD));
        let back = unpack(&packed.concat());
        assert!(back.iter().eq(headers.iter()));
        assert!(unpack(&pack(&Headers::new(), &[]).concat()).is_empty());
    }
}
