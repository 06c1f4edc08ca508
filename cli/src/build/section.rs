//! The custom section in which a filter carries its name and version.

/// Name of the section. Its content is a JSON object with `name`, `version` and `tamis`.
pub const SECTION: &str = "tamis.package";

/// The module with the section at its end. Custom sections may stand anywhere and hosts skip those they do
/// not know (WebAssembly core specification, "Custom Section").
pub(super) fn embed(wasm: &[u8], name: &str, version: &str) -> Vec<u8> {
    let content = serde_json::json!({ "tamis": 1, "name": name, "version": version }).to_string();
    append(wasm, SECTION, content.as_bytes())
}

/// The module with one more custom section.
pub(super) fn append(wasm: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    leb128(name.len(), &mut body);
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    let mut out = Vec::with_capacity(wasm.len() + body.len() + 6);
    out.extend_from_slice(wasm);
    out.push(0);
    leb128(body.len(), &mut out);
    out.extend(body);
    out
}

fn leb128(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_one_byte_are_encoded() {
        let name = "n".repeat(200);
        let out = embed(b"\0asm\x01\0\0\0", &name, "1.2.3");
        assert_eq!(out[8], 0);
        let length = usize::from(out[9] & 0x7f) | usize::from(out[10]) << 7;
        assert_eq!(out.len(), 11 + length);
        assert_eq!(usize::from(out[11]), SECTION.len());
        let content: serde_json::Value = serde_json::from_slice(&out[12 + SECTION.len()..]).unwrap();
        assert_eq!(content["name"], name.as_str());
    }
}
