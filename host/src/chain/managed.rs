//! What Envoy's connection manager makes of response headers behind the filters. They see it in `proxy_on_log`, and
//! in a map that they still hold (docs/envoy.md 2.1.15).

use super::stream::{RESPONSE_HEADERS, Stream};
use tamis_traffic::Protocol;

/// What belongs to one connection.
const HOP: [&[u8]; 3] = [b"transfer-encoding", b"keep-alive", b"proxy-connection"];

impl Stream {
    /// To be called before a filter reads or writes response headers; `date` is asked when there is none.
    #[inline]
    pub(crate) fn manage(&mut self, protocol: Protocol, date: impl FnOnce() -> String) {
        if !self.managed && self.lanes[1].headers_out {
            self.manage_now(protocol, date());
        }
    }

    #[cold]
    fn manage_now(&mut self, protocol: Protocol, date: String) {
        self.managed = true;
        let map = &mut self.maps[RESPONSE_HEADERS];
        let headers = match &mut self.past {
            Some(reply) => reply,
            None => {
                map.verbatim = false;
                &mut map.headers
            }
        };
        if headers.position(b"date").is_none() {
            headers.push(b"date", date.as_bytes());
        }
        if !self.upgrade {
            headers.remove(b"connection");
            headers.remove(b"upgrade");
        }
        for name in HOP {
            headers.remove(name);
        }
        // Over HTTP/1 nobody waits for the rest of a request that is answered.
        let shared = matches!(protocol, Protocol::Http2 | Protocol::Http3);
        if !shared && self.early {
            headers.push(b"connection", b"close");
        }
    }
}
