//! Several filters in one module: which one a deployment means.

use crate::filter::{Make, Part};
use crate::{Error, Result, Root, host};
use std::cell::Cell;

/// The property in which the proxy says `root_id` (docs/envoy.md 2.9).
const ROOT_ID: &[u8] = b"plugin_root_id";

/// A filter and its name.
pub type Named = (&'static str, crate::__private::Make);

thread_local! {
    static ALL: Cell<&'static [Named]> = const { Cell::new(&[]) };
}

/// Remembers what the module has; how a root makes its filter then.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "a native test names the type"))]
pub(crate) fn know(all: &'static [Named]) -> Make {
    ALL.set(all);
    choose
}

/// Makes the filter that `root_id` names.
fn choose(config: &[u8], root: &Root) -> Result<Part> {
    let (all, asked) = (ALL.get(), host::property(ROOT_ID).unwrap_or_default());
    match find(all, &asked) {
        Some(make) => make(config, root),
        None => Err(unknown(all, &asked)),
    }
}

fn find(all: &[Named], asked: &[u8]) -> Option<Make> {
    all.iter().find(|(name, _)| name.as_bytes() == asked).map(|(_, make)| make.0)
}

fn unknown(all: &[Named], asked: &[u8]) -> Error {
    let names: Vec<String> = all.iter().map(|(name, _)| format!("`{name}`")).collect();
    let asked = String::from_utf8_lossy(asked);
    Error::msg(format!("`root_id`: no filter `{asked}` in this module, which has {}", names.join(", ")))
}

/// Stops the build when a name is there twice or empty.
pub const fn check_names(all: &[Named]) {
    let mut one = 0;
    while one < all.len() {
        assert!(!all[one].0.is_empty(), "the name of a filter is empty");
        let mut other = one + 1;
        while other < all.len() {
            assert!(!is_same(all[one].0.as_bytes(), all[other].0.as_bytes()), "two filters have one name");
            other += 1;
        }
        one += 1;
    }
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::__private::Make;

    fn none(_config: &[u8], _root: &Root) -> Result<Part> {
        Err(Error::msg("none"))
    }

    #[test]
    fn an_unknown_name_is_told_with_those_that_are_there() {
        let all: &'static [Named] = &[("edge", Make(none)), ("mesh", Make(none))];
        assert!(find(all, b"mesh").is_some());
        assert!(find(all, b"").is_none() && find(all, b"egd").is_none());
        let root = Root(crate::root::RootState::new(1, know(all)));
        let told = choose(b"", &root).err().map(|error| error.to_string());
        let text = "`root_id`: no filter `` in this module, which has `edge`, `mesh`";
        assert_eq!(told.as_deref(), Some(text));
    }

    #[test]
    fn names_must_differ() {
        let all = |names: [&'static str; 3]| names.map(|name| (name, Make(none)));
        check_names(&all(["a", "ab", "b"]));
        for bad in [["a", "b", "a"], ["a", "b", ""]] {
            assert!(std::panic::catch_unwind(|| check_names(&all(bad))).is_err(), "{bad:?}");
        }
    }
}
