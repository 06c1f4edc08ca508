//! A text that every match of a regular expression has in it.
//!
//! A search for it costs a hundredth of a run of the expression, and most values that a filter looks at do not
//! have it.

use std::iter::Peekable;
use std::str::Chars;

/// The longest such text; `None` when none was found, which says nothing. `pattern` must be one that compiles.
pub(crate) fn required(pattern: &str, ignore_case: bool) -> Option<String> {
    // Flags change what follows; names of groups are not worth the reading.
    if pattern.split("(?").skip(1).any(|rest| !rest.starts_with(':')) {
        return None;
    }
    let mut chars = pattern.chars().peekable();
    let mut runs = Runs::default();
    while let Some(c) = chars.next() {
        match c {
            // One side of it is enough for a match.
            '|' => return None,
            '(' => {
                runs.end();
                skip_group(&mut chars)?;
            }
            '[' => {
                runs.end();
                skip_class(&mut chars)?;
            }
            '\\' => match chars.next()? {
                literal if literal.is_ascii_punctuation() => runs.push(literal),
                's' | 'S' | 'd' | 'D' | 'w' | 'W' | 'b' | 'B' | 'A' | 'z' => runs.end(),
                // Digits may follow that are no text.
                _ => return None,
            },
            // The last one may be missing.
            '*' | '?' => runs.drop_last(),
            '{' => {
                runs.drop_last();
                chars.by_ref().find(|c| *c == '}')?;
            }
            '+' | '.' | '^' | '$' => runs.end(),
            c if c.is_ascii() || !ignore_case => runs.push(c),
            _ => runs.end(),
        }
    }
    runs.end();
    Some(runs.best).filter(|best| !best.is_empty())
}

#[derive(Default)]
struct Runs {
    now: String,
    best: String,
}

impl Runs {
    fn push(&mut self, c: char) {
        self.now.push(c);
    }

    fn drop_last(&mut self) {
        self.now.pop();
        self.end();
    }

    fn end(&mut self) {
        if self.now.len() > self.best.len() {
            std::mem::swap(&mut self.now, &mut self.best);
        }
        self.now.clear();
    }
}

/// Leaves `chars` after the `)` of the group that was opened.
fn skip_group(chars: &mut Peekable<Chars<'_>>) -> Option<()> {
    let mut depth = 1;
    while depth > 0 {
        match chars.next()? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '[' => skip_class(chars)?,
            '\\' => drop(chars.next()?),
            _ => {}
        }
    }
    Some(())
}

/// Leaves `chars` after the `]` of the class that was opened.
fn skip_class(chars: &mut Peekable<Chars<'_>>) -> Option<()> {
    chars.next_if_eq(&'^');
    // Here it is one of the class.
    chars.next_if_eq(&']');
    loop {
        match chars.next()? {
            ']' => return Some(()),
            // A class in a class: not worth the reading.
            '[' => return None,
            '\\' => drop(chars.next()?),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_lite::RegexBuilder;

    #[test]
    fn the_longest_text_is_found() {
        for (pattern, text) in [
            (r"(.*,)?\s*userTier=gold\s*([,;].*)?", "userTier=gold"),
            ("abc", "abc"),
            ("ab*cd", "cd"),
            ("ab?", "a"),
            ("abc+d", "abc"),
            ("ab{0,2}c", "a"),
            (r"a\.b", "a.b"),
            ("[]x]yy", "yy"),
            ("(a|b[)])cd", "cd"),
            ("(?:ab)c", "c"),
        ] {
            assert_eq!(required(pattern, false).as_deref(), Some(text), "{pattern}");
        }
        for pattern in ["a|b", "a*", "(?i)abc", "(?x) a b", r"\x41", "[a-z]+", r"\d\d", "[[:alpha:]]a"] {
            assert_eq!(required(pattern, false), None, "{pattern}");
        }
        assert_eq!(required("é", false).as_deref(), Some("é"));
        assert_eq!(required("aéb", true).as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn every_match_has_it(
            pattern in r"[abAB()|*+?{},12.\[\]\\^$]{0,12}",
            text in "[abAB12]{0,10}",
            ignore_case in any::<bool>(),
        ) {
            let whole = format!(r"\A(?:{pattern})\z");
            if let Ok(regex) = RegexBuilder::new(&whole).case_insensitive(ignore_case).build()
                && let Some(literal) = required(&pattern, ignore_case)
                && regex.is_match(&text)
            {
                let fold = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
                prop_assert!(fold(&text).contains(&fold(&literal)), "{pattern}: {literal}");
            }
        }
    }
}
