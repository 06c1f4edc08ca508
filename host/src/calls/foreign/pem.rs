//! PEM (RFC 7468): the first block of a label.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The first block with one of these labels, and which it is.
pub(super) fn first(text: &str, labels: &[&'static str]) -> Option<(&'static str, Vec<u8>)> {
    let mut rest = text;
    loop {
        let (_, from) = rest.split_once("-----BEGIN ")?;
        let (label, body) = from.split_once("-----")?;
        rest = body;
        let Some(known) = labels.iter().find(|known| **known == label) else { continue };
        let (body, _) = body.split_once(&format!("-----END {label}-----"))?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        return Some((known, STANDARD.decode(body).ok()?));
    }
}
