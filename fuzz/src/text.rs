//! Text that people write: expressions, faults to inject, traffic tests.

use crate::{exchange, one_line, whole};
use std::path::Path;
use tamis_traffic::expect::{Checker, TrafficTest};
use tamis_traffic::inject::{Exchanges, Injection};
use tamis_traffic::select::{Expression, Found, Lookup, Where};
use tamis_traffic::{Playback, PropertyValue};

/// An expression is one or says in one line why not, and so does what comes of it; twice the same.
pub fn select(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Where::parse(text) {
        Ok(condition) => {
            assert_eq!(condition.text(), text);
            let exchange = exchange();
            let matched = condition.matches(&exchange);
            assert_eq!(matched, condition.matches(&exchange));
            if let Err(error) = matched {
                one_line(&error);
            }
        }
        Err(error) => {
            one_line(&error);
            assert!(error.line >= 1 && error.column >= 1);
        }
    }
    if let Ok(expression) = Expression::parse(text) {
        expression.evaluate(&Names);
    }
}

/// The names of an expression of a filter: a value of each kind.
struct Names;

impl Lookup for Names {
    fn lookup(&self, path: &[&str]) -> Found<'_> {
        match path {
            ["request"] | ["a"] => Found::Group,
            ["request", "headers"] => Found::Headers(None),
            ["request", "path"] => Found::Value(PropertyValue::Text("/cart".into())),
            ["request", "size"] => Found::Value(PropertyValue::Int(i64::MIN)),
            ["request", "duration"] => Found::Value(PropertyValue::Duration(i64::MAX)),
            ["request", "time"] => Found::Value(PropertyValue::Timestamp(i64::MIN)),
            ["a", "list"] => {
                Found::Value(PropertyValue::List(vec![PropertyValue::Uint(u64::MAX), PropertyValue::Null]))
            }
            ["a", "double"] => Found::Value(PropertyValue::Double(f64::NAN)),
            ["a", "bytes"] => Found::Value(PropertyValue::Bytes(vec![0xff])),
            _ => Found::Missing,
        }
    }
}

/// A fault is one that shows itself as it was written, and changes an exchange into another one that can be
/// played; or an error points into the text.
pub fn inject(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match text.parse::<Injection>() {
        Ok(fault) => {
            assert_eq!(fault.to_string(), text);
            let (mut exchange, mut struck) = (exchange(), Vec::new());
            Exchanges::new(&[fault], 7).change(&mut exchange, &mut struck);
            for message in [&exchange.request, &exchange.response] {
                whole(&message.get().expect("both halves stay").body);
            }
        }
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column()), "{error}");
        }
    }
}

/// A traffic test is one, and then can be held against a playback; or an error of one line says where.
pub fn traffic_test(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match TrafficTest::parse(Path::new("test.yaml"), text) {
        Ok(test) => {
            let (exchange, playback) = (exchange(), Playback::default());
            let mut checker = Checker::new(&test);
            checker.see(&exchange, &playback);
            for (index, sent) in test.send.iter().enumerate() {
                checker.see_sent(index, &sent.exchange, &playback);
            }
            for result in checker.finish() {
                assert_eq!(result.passed(), result.to_string().starts_with("ok: "));
            }
        }
        Err(error) => {
            one_line(&error);
            let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u32;
            assert!((1..=lines + 1).contains(&error.at.line) && error.at.column >= 1, "{error}");
        }
    }
}
