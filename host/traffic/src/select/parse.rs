//! Text to a checked expression.

use super::patterns::{self, Pattern};
use super::{MAX_DEPTH, MAX_LENGTH, WhereError, WhereErrorKind, names};
use cel::IdedExpr;
use cel::common::ast::SourceInfo;
use cel::parser::{ParseErrors, Parser};

pub(super) fn parse(text: &str) -> Result<(IdedExpr, Vec<Pattern>), WhereError> {
    parse_with(text, names::check, false)
}

/// With any names, and the limits of Envoy's parser (docs/envoy.md 2.10). A pattern that is none is no error yet.
pub(super) fn parse_free(text: &str) -> Result<(IdedExpr, Vec<Pattern>), WhereError> {
    parse_with(text, names::check_free, true)
}

/// Characters of an expression in Envoy.
const FREE_LENGTH: usize = 100_000;

/// The parser's own limit for a free expression: what it counts more than Envoy's does (long chains of `&&`) must pass.
const FREE_RECURSION: u16 = 250;

type Check = fn(&IdedExpr, &SourceInfo, usize) -> Result<(), (usize, WhereErrorKind)>;

fn parse_with(text: &str, check: Check, free: bool) -> Result<(IdedExpr, Vec<Pattern>), WhereError> {
    let at_start = |kind| WhereError { line: 1, column: 1, kind };
    let long = if free { text.chars().count() > FREE_LENGTH } else { text.len() > MAX_LENGTH };
    if long {
        return Err(at_start(WhereErrorKind::TooLong(text.len())));
    }
    if text.trim().is_empty() {
        return Err(at_start(WhereErrorKind::Syntax("expression is empty".into())));
    }
    if let Some(offset) = too_deep(text) {
        return Err(located(text, offset, WhereErrorKind::TooDeep));
    }
    let parser = Parser::new().max_recursion_depth(if free { FREE_RECURSION } else { MAX_DEPTH as u16 });
    let (mut expression, source) =
        parser.parse_with_source_info(text).map_err(|errors| syntax(text, &errors))?;
    check(&expression, &source, text.len()).map_err(|(offset, kind)| located(text, offset, kind))?;
    let mut found = Vec::new();
    patterns::take(&mut expression, &source, &mut found, free)
        .map_err(|(offset, kind)| located(text, offset, kind))?;
    Ok((expression, found))
}

/// Byte offset at which brackets outside of strings are nested too deep. The parser has a limit of its
/// own, but takes its time to get there.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (offset, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
        if depth > MAX_DEPTH {
            return Some(offset);
        }
    }
    None
}

/// `offset` in bytes.
fn located(text: &str, offset: usize, kind: WhereErrorKind) -> WhereError {
    let (mut line, mut column) = (1, 1);
    for c in text.char_indices().take_while(|(at, _)| *at < offset).map(|(_, c)| c) {
        if c == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    WhereError { line, column, kind }
}

/// The first error of the parser, in one line of bounded length.
fn syntax(text: &str, errors: &ParseErrors) -> WhereError {
    let Some(error) = errors.errors.first() else {
        return located(text, 0, WhereErrorKind::Syntax("not an expression".into()));
    };
    let words = error.msg.strip_prefix("Syntax error:").unwrap_or(&error.msg);
    // ANTLR lists every token it would have taken; that helps nobody.
    let words =
        words.split(" expecting ").next().unwrap_or(words).split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words
        .replace("'<EOF>'", "<EOF>")
        .replace("mismatched input <EOF>", "ends too early")
        .replace("mismatched input", "unexpected")
        .replace("extraneous input", "unexpected")
        .replace("<EOF>", "the end");
    let message: String = words.chars().take(160).collect();
    let message = if message.is_empty() { "not an expression".to_owned() } else { message };
    let (line, column) = (error.pos.0.max(1), error.pos.1.max(1));
    WhereError { line: line as u32, column: column as u32, kind: WhereErrorKind::Syntax(message) }
}
