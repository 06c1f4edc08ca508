//! Where a proxy answers.

use crate::error::{Error, Kind};
use std::fmt;
use std::str::FromStr;

/// The page that proxies show to Prometheus, often the only one that can be reached.
const PROMETHEUS: &str = "/stats/prometheus";

/// `HOST:PORT` of an admin interface, or the address of a page for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    authority: String,
    /// True when only that page is there.
    pub metrics_only: bool,
}

impl Address {
    /// The address of a page.
    pub(super) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }

    /// The page for Prometheus.
    pub(super) fn metrics(&self) -> String {
        self.page(PROMETHEUS)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)?;
        if self.metrics_only { f.write_str(PROMETHEUS) } else { Ok(()) }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            let shown: String =
                text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect();
            Error::new(Kind::BadProxyAddress, format!("`{shown}` is no address of a proxy: {why}"))
                .hint("for instance `127.0.0.1:15000`, or `http://127.0.0.1:15090/stats/prometheus`")
        };
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(bad("proxies speak plain HTTP there")),
            None => text,
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let metrics_only = match path.trim_end_matches('/') {
            "" => false,
            PROMETHEUS => true,
            _ => return Err(bad("the page is not one that says anything about filters")),
        };
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| bad("the port is missing"))?;
        let name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let six = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let six = six.is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
        if !six && (host.is_empty() || !host.bytes().all(name)) {
            return Err(bad("the host is no name and no number"));
        }
        if port.parse::<u16>().is_ok_and(|p| p > 0) {
            Ok(Self { authority: authority.to_owned(), metrics_only })
        } else {
            Err(bad("the port is a number up to 65535"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let page = |text: &str| text.parse::<Address>().map(|a| (a.to_string(), a.metrics_only));
        assert_eq!(page("127.0.0.1:15000"), Ok(("127.0.0.1:15000".into(), false)));
        assert_eq!(page("http://localhost:9901/"), Ok(("localhost:9901".into(), false)));
        assert_eq!(page("[::1]:15000"), Ok(("[::1]:15000".into(), false)));
        assert_eq!(page("h:1/stats/prometheus").map(|(_, only)| only), Ok(true));
        for bad in [
            "",
            "127.0.0.1",
            ":1",
            "a:b",
            "a:0",
            "a:99999",
            "https://a:1",
            "a:1/quitquitquit",
            "u@h:1",
            "a b:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
