//! What a difference is about, in a few words: differences of one cause are counted together.

/// The kinds of words that a log line of the guest begins with, beside the context: those of an operation keep
/// their first argument, for a map or a property says more than the operation alone.
const WITH_ARGUMENT: [&str; 11] =
    ["get", "add", "rep", "rm", "pairs", "size", "buf", "setbuf", "prop", "foreign", "cont"];

/// What the parts of a text begin with, beside callouts.
const TITLES: [&str; 2] = ["upstream", "client"];

/// The cause of a difference, by the first line in which the two texts differ.
pub(super) fn cause(difference: &str) -> String {
    let mut part = "log";
    for line in difference.lines() {
        let line = line.trim_start();
        let changed = line.strip_prefix("- ").or_else(|| line.strip_prefix("+ "));
        let (differs, line) = (changed.is_some(), changed.unwrap_or(line));
        if let Some((title, rest)) = line.split_once(": ").filter(|(title, _)| TITLES.contains(title)) {
            part = title;
            if differs {
                return format!("{part} {}", rest.split_whitespace().next().unwrap_or_default());
            }
        } else if differs {
            return format!("{part} {}", said(part, line));
        }
    }
    "no line".into()
}

/// What stays the same of a line whoever said it.
fn said(part: &str, line: &str) -> String {
    let mut words = line.split_whitespace();
    if part != "log" {
        return words.next().unwrap_or_default().trim_end_matches(':').to_owned();
    }
    let verb = words.nth(1).unwrap_or_default();
    match words.next().filter(|_| WITH_ARGUMENT.contains(&verb)) {
        Some(argument) => format!("{verb} {argument}"),
        None => verb.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_the_cause() {
        let check = |text: &str, want: &str| assert_eq!(cause(text), want, "{text}");
        check(
            "    log\n      a/1 create\n  -   a/1   get 1 x-t -> 1\n  +   a/1   get 1 x-t -> 0\n",
            "log get 1",
        );
        check("    log\n  -   a/1 rqt n=1\n", "log rqt");
        check("    log\n    upstream: GET /\n  -   x-a: 1\n", "upstream x-a");
        check("    log\n      a/1 log\n  - client: 404\n  + client: 200\n", "client 404");
        check("    log\n    client: 200\n  -   ! cut off\n", "client !");
        check("no answer\n", "no line");
    }
}
