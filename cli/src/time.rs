//! Times as people write them: RFC 3339.

const SECOND: u64 = 1_000_000_000;

/// `2026-01-01T00:00:00[.5](Z|+02:00)` as nanoseconds since the Unix epoch; none when it is not that, or
/// before 1970 or after 2554.
pub fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, want)| bytes[at] != want) || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit())?;
        let digits = fraction.get(..end.min(9)).filter(|d| !d.is_empty())?;
        nanos = digits.parse::<u64>().ok()? * 10u64.pow(9 - digits.len() as u32);
        rest = &fraction[end..];
    }
    let offset = match rest {
        "Z" | "z" => 0i64,
        _ => {
            let sign = if rest.starts_with('+') {
                1
            } else if rest.starts_with('-') {
                -1
            } else {
                return None;
            };
            let (h, m) = rest.get(1..)?.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
            let (h, m): (u8, u8) = (h.parse().ok()?, m.parse().ok()?);
            sign * (i64::from(h) * 3600 + i64::from(m) * 60)
        }
    };
    let seconds = (days_since_1970(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second)
        .checked_add_signed(-offset)?;
    seconds.checked_mul(SECOND)?.checked_add(nanos)
}

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let years: u64 = (1970..year).map(|y| 365 + u64::from(leap(y))).sum();
    let months: u64 = (1..month).map(|m| days_in(year, m)).sum();
    (year >= 1970).then_some(years + months + day - 1)
}

/// Nanoseconds since the Unix epoch as `2026-01-01T00:00:00.000Z`.
pub fn show(nanos: u64) -> String {
    let (seconds, millis) = (nanos / SECOND, nanos % SECOND / 1_000_000);
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    while days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_both_ways() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("2026-01-01T00:00:00Z"), Some(1_767_225_600 * SECOND));
        assert_eq!(parse("2024-02-29T12:30:01.25+02:00"), Some(1_709_202_601 * SECOND + 250_000_000));
        assert_eq!(show(1_709_202_601 * SECOND + 250_000_000), "2024-02-29T10:30:01.250Z");
    }

    #[test]
    fn what_is_no_time_is_none_and_nothing_panics() {
        let bad = [
            "",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T00:00:00",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+5",
            "9999-01-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
