//! Names to resolve (docs/envoy.md 1.2).

use super::http::nanos;
use super::{Answer, Delivery, Event, Refused};
use crate::stage::Desk;
use std::net::{IpAddr, SocketAddr};
use tamis_traffic::{Callout, CalloutKind};

impl Desk {
    /// Asks for the addresses of a name: the token, and what comes at once. An address is its own answer and needs
    /// nobody; for a name the stage's answers are asked.
    pub(crate) fn resolve(&mut self, name: &[u8]) -> Result<(u32, Option<Event>), Refused> {
        self.callouts.room()?;
        self.keep(size_of::<Callout>() + 2 * name.len());
        let token = self.callouts.number(self.at.vm, CalloutKind::Resolve);
        if let Some(address) = str::from_utf8(name).ok().and_then(|n| n.parse::<IpAddr>().ok()) {
            return Ok((token, Some(Event::Resolved(encode(&[(SocketAddr::new(address, 0), 0)])))));
        }
        let filter = self.at.effective.filter;
        let cluster = String::from_utf8_lossy(name).into_owned();
        let callout = Callout { kind: CalloutKind::Resolve, filter, cluster, token, ..Callout::default() };
        let (addresses, after) = match self.answers.answer(&callout) {
            Answer::Addresses { addresses, after } => (addresses, nanos(after)),
            Answer::Reset { after } => (Vec::new(), nanos(after)),
            Answer::Timeout | Answer::UnknownCluster | Answer::NoHosts => (Vec::new(), 0),
            _ => {
                self.unanswered(&callout);
                (Vec::new(), 0)
            }
        };
        let due = self.clock.wall().saturating_add(after);
        let (vm, root) = (self.at.vm, self.plugins.get(filter).map_or(0, |p| p.root));
        let event = Event::Resolved(encode(&addresses));
        self.callouts.add(Delivery { filter, vm, root, token, due, event });
        self.made.push(callout);
        Ok((token, None))
    }
}

/// A count, the times to live in seconds, then the addresses with a zero byte each; numbers are little-endian words.
fn encode(addresses: &[(SocketAddr, u32)]) -> Vec<u8> {
    let mut bytes = u32::try_from(addresses.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for (_, seconds) in addresses {
        bytes.extend(seconds.to_le_bytes());
    }
    for (address, _) in addresses {
        bytes.extend(address.to_string().bytes());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_1_2_addresses_come_with_a_count_and_their_times() {
        assert_eq!(encode(&[]), [0, 0, 0, 0]);
        let two = [("10.0.0.1:0".parse().unwrap(), 30), ("[::1]:0".parse().unwrap(), 0)];
        assert_eq!(
            encode(&two),
            b"\x02\x00\x00\x00\x1e\x00\x00\x00\x00\x00\x00\x0010.0.0.1:0\x00[::1]:0\x00"
        );
    }
}
