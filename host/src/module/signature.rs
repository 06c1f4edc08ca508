//! Signatures of functions, small enough for tables.

use std::borrow::Cow;
use std::fmt;
use tamis_abi::Wasm;
use wasmparser::ValType;

/// Parameters and result in letters, for instance `ii>i`: `i` is i32, `I` is i64; nothing behind `>` is no result.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Signature(pub(super) Cow<'static, str>);

impl Signature {
    /// From letters.
    pub(super) const fn of(letters: &'static str) -> Self {
        Self(Cow::Borrowed(letters))
    }

    /// Of a host function.
    pub(super) fn of_function(function: &tamis_abi::Function) -> Self {
        let letters = |types: &[Wasm]| {
            types.iter().map(|t| if *t == Wasm::I32 { 'i' } else { 'I' }).collect::<String>()
        };
        Self(Cow::Owned(format!("{}>{}", letters(function.params), letters(function.results))))
    }

    /// Of a callback: all words are i32.
    pub(super) fn of_words(params: usize, results: usize) -> Self {
        Self(Cow::Owned(format!("{}>{}", "i".repeat(params), "i".repeat(results))))
    }

    /// True when a function type has this signature.
    pub(super) fn is(&self, ty: &wasmparser::FuncType) -> bool {
        let (params, results) = self.halves();
        same(params, ty.params()) && same(results, ty.results())
    }

    fn halves(&self) -> (&str, &str) {
        self.0.split_once('>').unwrap_or((&self.0, ""))
    }
}

fn same(letters: &str, types: &[ValType]) -> bool {
    letters.len() == types.len()
        && letters
            .bytes()
            .zip(types)
            .all(|(letter, ty)| *ty == if letter == b'i' { ValType::I32 } else { ValType::I64 })
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |letter| if letter == b'i' { "i32" } else { "i64" };
        let (params, results) = self.halves();
        let list: Vec<_> = params.bytes().map(name).collect();
        write!(f, "({})", list.join(", "))?;
        results.bytes().try_for_each(|letter| write!(f, " -> {}", name(letter)))
    }
}

/// A function type as a signature in text.
pub(super) fn text(ty: &wasmparser::FuncType) -> String {
    let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match ty.results() {
        [] => format!("({})", list(ty.params())),
        [one] => format!("({}) -> {one}", list(ty.params())),
        many => format!("({}) -> ({})", list(ty.params()), list(many)),
    }
}
