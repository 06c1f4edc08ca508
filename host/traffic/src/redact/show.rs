//! Any bytes as one safe line of text.

use std::fmt;

/// Bytes of one value that are shown; the rest is counted. A terminal line is no place for more.
pub const MAX_SHOWN: usize = 240;

/// Bytes as text that can do no harm: what is not UTF-8 as `\xff`, control and invisible characters (which
/// could move the cursor or turn the writing direction) as `\n` or `\u{202e}`, a backslash as `\\`; empty as
/// `""`; cut after [`MAX_SHOWN`] bytes.
pub fn show(bytes: &[u8]) -> impl fmt::Display + '_ {
    Shown(bytes)
}

struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        let mut end = self.0.len().min(MAX_SHOWN);
        // Never cut inside a character.
        while end < self.0.len() && end > MAX_SHOWN - 4 && self.0[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        for chunk in self.0[..end].utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '\\' || c.is_control() || is_invisible(c) {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    fmt::Write::write_char(f, c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        match self.0.len() - end {
            0 => Ok(()),
            rest => write!(f, "… ({rest} bytes more)"),
        }
    }
}

/// Characters that show nothing or turn the direction of what follows (Unicode `Cf`, separators, tags).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows() {
        #[track_caller]
        fn check(bytes: &[u8], want: &str) {
            assert_eq!(show(bytes).to_string(), want);
        }
        check(b"plain value", "plain value");
        check(b"", "\"\"");
        check("Zürich ✓".as_bytes(), "Zürich ✓");
        check(b"Z\xfcrich", "Z\\xfcrich");
        check(b"a\r\nb\x1b[2J\0", "a\\r\\nb\\u{1b}[2J\\u{0}");
        check("a\u{202e}b".as_bytes(), "a\\u{202e}b");
        check(b"C:\\x", "C:\\\\x");
        check(&[b'a'; 250], &format!("{}… (10 bytes more)", "a".repeat(240)));
        check("é".repeat(121).as_bytes(), &format!("{}… (2 bytes more)", "é".repeat(120)));
        let odd = format!("a{}", "é".repeat(120));
        check(odd.as_bytes(), &format!("a{}… (2 bytes more)", "é".repeat(119)));
    }
}
