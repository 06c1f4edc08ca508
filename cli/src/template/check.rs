//! Names of packages.

use crate::failure::{Code, Failure, Result};

/// Words that cannot name a crate (The Rust Reference, "Keywords"), and names that cargo refuses.
const TAKEN: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "alloc",
    "struct",
    "super",
    "tamis-abi",
    "tamis-sdk",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Longest name, in characters: what crates.io takes.
const MAX_NAME: usize = 64;

/// Checks the name of a new package.
///
/// # Errors
/// `bad-name`, with what would do.
pub fn check_name(name: &str) -> Result<()> {
    let bad = |why: &str| Err(Failure::new(Code::BadName, format!("`{name}` cannot name a package: {why}")));
    if name.len() > MAX_NAME {
        return bad("it is longer than 64 characters");
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return bad("it must begin with a letter");
    }
    if let Some(odd) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
        return bad(&format!("`{}` is no letter, digit, `-` or `_`", odd.escape_default()));
    }
    if TAKEN.contains(&name) {
        return bad("the word is taken");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_would_refuse_is_refused_first() {
        for good in ["hello", "my-filter", "a_b2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "2fast", "-x", "a b", "../up", "a/b", "zürich", "async", "std", &"x".repeat(65)] {
            assert_eq!(check_name(bad).unwrap_err().code, Code::BadName, "{bad}");
        }
    }
}
