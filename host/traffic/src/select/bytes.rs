//! Text of filters' expressions: any bytes in Envoy, UTF-8 in the library. Bytes that are none stand as characters of
//! a private block meanwhile, and so does what is written in these characters: each text comes out as it went in.

use crate::PropertyValue;
use std::borrow::Cow;

/// Stands for byte 0; those for the others follow. Of a plane that Unicode leaves to everybody's own use.
const FIRST: u32 = 0x10_fe00;

fn stands_for(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(FIRST)?).ok()
}

/// The bytes as text for an [`super::Expression`]; what it comes to has the bytes again.
pub fn exact(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c| stands_for(c).is_some()) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

#[cold]
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let escape = |bytes: &[u8], text: &mut String| {
        text.extend(bytes.iter().filter_map(|byte| char::from_u32(FIRST + u32::from(*byte))));
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match stands_for(c) {
                None => text.push(c),
                Some(_) => escape(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text),
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

/// The text that an expression came to, with the bytes in the place of what stands for them.
pub(super) fn restored(text: String) -> PropertyValue {
    if !text.contains(|c| stands_for(c).is_some()) {
        return PropertyValue::Text(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match stands_for(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    PropertyValue::Bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(bytes: &[u8]) -> Vec<u8> {
        match restored(exact(bytes).into_owned()) {
            PropertyValue::Text(text) => text.into_bytes(),
            PropertyValue::Bytes(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_is_itself_and_what_is_written_in_the_block_comes_back() {
        assert_eq!(exact("a,é".as_bytes()), "a,é");
        let own = "x\u{10fe41}y";
        assert_eq!(back(own.as_bytes()), own.as_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_as_they_went_in(bytes: Vec<u8>) {
            prop_assert_eq!(back(&bytes), bytes);
        }
    }
}
