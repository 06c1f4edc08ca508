//! Held against serde_json: the same values, the same refusals.

use super::from_slice;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Choice {
    None,
    Number(i16),
    Pair(u8, String),
    #[serde(rename = "fields")]
    Fields {
        a: Option<bool>,
        #[serde(default)]
        b: f32,
    },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Tagged {
    One { n: u64 },
    Two { s: String },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Either {
    Text(String),
    List(Vec<Either>),
    Number(f64),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Rest {
    known: char,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Newtype(i64);

#[derive(Debug, PartialEq, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    header: String,
    #[serde(default)]
    count: u8,
}

const DOCUMENTS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1.5",
    "-2e3",
    "1E+2",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "1e400",
    "0.1",
    "256",
    "32768",
    "\"\"",
    "\"a\"",
    "\"ä\\u00e4\\n\"",
    "\"\\ud83d\\ude00\"",
    "\"none\"",
    "\"number\"",
    "[]",
    "[1]",
    "[1,2]",
    "[1,\"x\"]",
    "[[\"a\"],1,[]]",
    "{}",
    "{\"number\":7}",
    "{\"number\":70000}",
    "{\"pair\":[1,\"x\"]}",
    "{\"pair\":[1]}",
    "{\"pair\":[1,\"x\",2]}",
    "{\"fields\":{\"a\":null}}",
    "{\"fields\":{\"a\":true,\"b\":1.25}}",
    "{\"fields\":[false,2]}",
    "{\"none\":null}",
    "{\"none\":1}",
    "{\"number\":7,\"none\":null}",
    "{\"type\":\"One\",\"n\":1}",
    "{\"n\":1,\"type\":\"One\"}",
    "{\"type\":\"Two\",\"s\":\"x\"}",
    "{\"type\":\"Two\",\"n\":1}",
    "{\"known\":\"k\",\"a\":1,\"b\":[{\"c\":null}]}",
    "{\"known\":\"kk\"}",
    "{\"header\":\"x\"}",
    "{\"header\":\"x\",\"count\":255}",
    "{\"header\":\"x\",\"count\":256}",
    "{\"header\":\"x\",\"count\":1.5}",
    "{\"header\":7}",
    "{\"haeder\":\"x\"}",
    "{\"header\":\"a\",\"header\":\"b\"}",
    "{\"1\":\"a\",\"-2\":\"b\"}",
    "{\"x\":\"a\"}",
    "{\"true\":\"a\"}",
    " {\n\"header\"\t:\r\"x\" , \"count\": 2 } ",
    // No JSON.
    "",
    " ",
    "nul",
    "nulll",
    "tru",
    "01",
    "-",
    "1.",
    ".5",
    "1e",
    "+1",
    "--1",
    "\"",
    "\"a",
    "\"\\",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\ud800\"",
    "\"\\ud800\\u0041\"",
    "\"\\udc00\"",
    "\"\t\"",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "]",
    "{",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{a:1}",
    "{1:1}",
    "{\"a\" 1}",
    "{}}",
    "1 2",
    "{\"a\":1]",
];

fn same<T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>() {
    for text in DOCUMENTS {
        // One level down too, with a path and with what follows.
        for text in [(*text).to_owned(), format!("[{text}]"), format!("{{\"1\":{text}}}")] {
            let theirs = serde_json::from_str::<T>(&text);
            let ours = from_slice::<T>(text.as_bytes());
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{text}"),
                (Err(_), Err(_)) => {}
                _ => panic!("{text}: {ours:?}, but {theirs:?}"),
            }
        }
    }
}

#[test]
fn everything_is_read_as_serde_json_reads_it() {
    same::<Value>();
    same::<(bool, String)>();
    same::<(i8, u8, i64)>();
    same::<Vec<u64>>();
    same::<Vec<f64>>();
    same::<Vec<Option<f32>>>();
    same::<Choice>();
    same::<Vec<Choice>>();
    same::<BTreeMap<String, Choice>>();
    same::<Tagged>();
    same::<Vec<Either>>();
    same::<Rest>();
    same::<Strict>();
    same::<Vec<Strict>>();
    same::<BTreeMap<i8, Value>>();
    same::<BTreeMap<bool, String>>();
    same::<(Newtype, Unit, ())>();
    same::<Option<Box<str>>>();
}

#[test]
fn messages_are_those_of_serde_json() {
    let message = |text: &str| from_slice::<Vec<Strict>>(text.as_bytes()).unwrap_err().to_string();
    for text in DOCUMENTS {
        for text in [(*text).to_owned(), format!("[{text}]")] {
            let Err(theirs) = serde_json::from_str::<Vec<Strict>>(&text) else { continue };
            let theirs = theirs.to_string();
            let theirs = theirs.split(" at line ").next().unwrap_or_default();
            // Of broken escapes and numbers serde_json knows more kinds, and it takes the place of the fault for the kind.
            let is_syntax = ["\\", "0", "-", ".", "+", "1 2", "1e"].iter().any(|odd| text.contains(odd));
            if !is_syntax {
                assert_eq!(message(&text), theirs, "{text}");
            }
        }
    }
}

#[test]
fn a_number_in_a_message_is_as_it_was_written() {
    let of = |text: &str| from_slice::<Vec<Either>>(text.as_bytes()).map_err(|e| e.to_string());
    assert!(of("[1.50]").is_ok());
    let error = from_slice::<(String, Choice)>(b"[1.50, null]").unwrap_err();
    assert_eq!(error.to_string(), "invalid type: floating point `1.50`, expected a string");
    #[derive(Debug, Deserialize)]
    struct Any(#[allow(dead_code, reason = "only read by the parser")] Words);
    #[derive(Debug)]
    struct Words;
    impl<'de> Deserialize<'de> for Words {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Words;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("words")
                }
            }
            deserializer.deserialize_any(Visitor)
        }
    }
    let error = from_slice::<Vec<Any>>(b"[2.50e1]").unwrap_err();
    assert_eq!(error.to_string(), "invalid type: floating point `2.50e1`, expected words");
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(from_slice::<Value>(deep(127).as_bytes()).is_ok());
    for text in [deep(129), "[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        assert_eq!(from_slice::<Value>(text.as_bytes()).unwrap_err().to_string(), "recursion limit exceeded");
        assert!(from_slice::<serde::de::IgnoredAny>(text.as_bytes()).is_err());
    }
}
