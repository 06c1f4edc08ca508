//! Values that arguments take.

use std::path::PathBuf;
use std::str::FromStr;

/// A number of bytes: `65536`, `64KiB`, `2MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim() {
            "" | "B" => 0,
            "KiB" | "k" | "K" => 10,
            "MiB" | "M" => 20,
            "GiB" | "G" => 30,
            other => return Err(format!("unknown unit `{other}`; use B, KiB, MiB or GiB")),
        };
        let number: u64 =
            number.replace('_', "").parse().map_err(|_| "want a number, for instance `64KiB`")?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| "too large".to_owned())
    }
}

/// A report file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportTo {
    /// Its form.
    pub kind: ReportKind,
    /// Where.
    pub path: PathBuf,
}

/// Forms of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// JSON lines: the same events as `--format json`.
    Json,
    /// JUnit XML, as CI systems read it.
    Junit,
}

impl FromStr for ReportTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text.split_once('=').ok_or("want KIND=PATH, for instance `junit=report.xml`")?;
        let kind = match kind {
            "json" => ReportKind::Json,
            "junit" => ReportKind::Junit,
            other => {
                return Err(format!(
                    "`{other}` is not a report that this version writes; it writes `json` and `junit`"
                ));
            }
        };
        if path.is_empty() {
            return Err("the path is empty".to_owned());
        }
        Ok(Self { kind, path: path.into() })
    }
}

/// What makes a replay fail with exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// A filter changed something.
    Changed,
    /// A filter answered.
    Answered,
    /// A filter broke: a fault that is the filter's.
    Broke,
    /// Any fault, whoever's it is.
    Faults,
    /// Nothing does.
    Never,
}

/// What happens to traffic when a filter broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// Fail closed: the proxy answers 503 from then on (Envoy's default).
    Closed,
    /// Fail open: traffic passes without the filter.
    Open,
    /// Fail reload: a new VM is started for the next exchange.
    Reload,
}

/// What plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineArg {
    /// The test host: fast, deterministic, in recorded time.
    #[default]
    Wasmtime,
    /// A real Envoy, in present time.
    Envoy,
    /// Both, one against the other: a difference is a finding.
    Both,
}

/// The filter's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockArg {
    /// The time of each exchange as recorded.
    Recorded,
    /// Stands still at this many nanoseconds since the Unix epoch.
    Fixed(u64),
}

impl FromStr for ClockArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "recorded" {
            return Ok(Self::Recorded);
        }
        crate::time::parse(text)
            .map(Self::Fixed)
            .ok_or_else(|| "want `recorded` or a time such as `2026-01-01T00:00:00Z`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_do_not_wrap() {
        assert_eq!("512KiB".parse(), Ok(Bytes(512 << 10)));
        assert_eq!("1_000".parse(), Ok(Bytes(1000)));
        assert_eq!("2 MiB".parse(), Ok(Bytes(2 << 20)));
        for bad in ["", "KiB", "-1", "5 parsec", "99999999999GiB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_report_kind_of_a_later_version_is_named() {
        let error = "html=x".parse::<ReportTo>().unwrap_err();
        assert!(error.contains("`html`") && error.contains("junit"), "{error}");
    }
}
