//! The nearest known name to a wrong one.

/// The known name that is nearest to `wrong`, when it is near enough to be a slip: at most a third of its
/// characters changed, added, left out or swapped with a neighbour.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A name from a file may be of any length; what is this long is no slip.
    if wrong.len() > 64 {
        return None;
    }
    let limit = (wrong.chars().count() / 3).max(1);
    let near = known.into_iter().map(|name| (strsim::osa_distance(wrong, name), name));
    near.filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        for (wrong, want) in [
            ("request.pth", Some("request.path")),
            ("request.haeders", Some("request.headers")),
            ("requst.path", Some("request.path")),
            ("something.else", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, ["request.path", "request.headers"]), want, "{wrong}");
        }
    }
}
