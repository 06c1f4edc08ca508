//! `WWW-Authenticate`: what a registry asks for (RFC 9110 11.6.1).

use std::collections::BTreeMap;

/// One challenge: a scheme and its parameters, names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    params: BTreeMap<String, String>,
}

impl Challenge {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }
}

/// All challenges of a header value; what makes no sense is left out.
pub(crate) fn parse(value: &str) -> Vec<Challenge> {
    let mut all: Vec<Challenge> = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let end = rest.find(['=', ' ', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            // A stray sign: skip it, or this would never end.
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let after = after.trim_start();
        match (after.strip_prefix('='), all.last_mut()) {
            (Some(after), Some(challenge)) => {
                let (text, after) = text(after.trim_start());
                challenge.params.insert(word.to_ascii_lowercase(), text);
                rest = after;
            }
            (Some(after), None) => rest = text(after.trim_start()).1,
            (None, _) => {
                all.push(Challenge { scheme: word.to_ascii_lowercase(), params: BTreeMap::new() });
                rest = after;
            }
        }
    }
    all
}

/// A token or a quoted string, and what follows.
fn text(rest: &str) -> (String, &str) {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ', '\t']).unwrap_or(rest.len());
        return (rest[..end].to_owned(), &rest[end..]);
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &quoted[at + 1..]),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_of_real_registries() {
        let all = parse(
            r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:f:pull,push",error="insufficient_scope""#,
        );
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].scheme, "bearer");
        assert_eq!(all[0].get("realm"), Some("https://auth.example/token"));
        assert_eq!(all[0].get("scope"), Some("repository:f:pull,push"));
        assert_eq!(all[0].get("error"), Some("insufficient_scope"));
        let two = parse(r#"Basic realm="a \"b\"", BEARER Realm = "x" , service=y"#);
        assert_eq!(two.iter().map(|c| c.scheme.as_str()).collect::<Vec<_>>(), ["basic", "bearer"]);
        assert_eq!(two[0].get("realm"), Some("a \"b\""));
        assert_eq!(two[1].get("service"), Some("y"));
        assert_eq!(parse(""), []);
        assert_eq!(parse("= , ="), []);
    }

    proptest! {
        #[test]
        fn no_header_breaks_it(text in r#"[ -~é"=,\\\t]{0,60}"#) {
            parse(&text);
        }
    }
}
