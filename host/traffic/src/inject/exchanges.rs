//! Faults that are in the traffic: the exchange is another one before it is played.

use super::{Dice, Injection, What};
use crate::{Body, Exchange, Headers};

/// Values that are legal on the wire (RFC 9110 5.5, `obs-text`) and no UTF-8: Latin-1, a byte that no encoding
/// of text has, an encoded surrogate, a sequence that is cut.
const ODD: &[&[u8]] = &[b"\xe9", b"\xff", b"\xed\xa0\x80", b"caf\xc3"];

/// Fields that frame the message, name its route or belong to proxies: with other values the exchange would be
/// another one, or the codec would refuse it before any filter.
const KEPT: &[&[u8]] = &[
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"expect",
    b"grpc-timeout",
    b"host",
    b"keep-alive",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-proto",
    b"x-request-id",
];

/// The field that is made up when the request has none of the client's own.
const MADE_UP: &[u8] = b"x-client-note";

/// Longest run of bytes in one piece of a body that is split: small enough to cut what filters look for.
const PIECE_LIMIT: usize = 64;
/// Most pieces of one body; what is left is the last piece. More would be a test of patience.
const PIECES_LIMIT: usize = 1024;

/// The injections of a replay that change exchanges.
#[derive(Debug)]
pub struct Exchanges(Vec<(usize, Injection, Dice)>);

impl Exchanges {
    /// Those of `all` that change exchanges; their numbers are their places in `all`.
    pub fn new(all: &[Injection], seed: u64) -> Self {
        let mine = all.iter().enumerate().filter(|(_, one)| one.changes_exchanges());
        Self(mine.map(|(number, one)| (number, one.clone(), Dice::new(seed, number))).collect())
    }

    /// Changes an exchange, and appends the numbers of the faults that found something to change.
    pub fn change(&mut self, exchange: &mut Exchange, struck: &mut Vec<usize>) {
        for (number, one, dice) in &mut self.0 {
            if dice.takes(one.share) && apply(one.what, exchange, dice) {
                struck.push(*number);
            }
        }
    }
}

fn apply(fault: What, exchange: &mut Exchange, dice: &mut Dice) -> bool {
    let request = exchange.request.get_mut();
    match fault {
        What::OddHeaderBytes => request.is_some_and(|m| odd_bytes(&mut m.headers, dice)),
        What::DupHeader => request.is_some_and(|m| twice(&mut m.headers, dice)),
        What::SplitChunks => {
            let halves = [request, exchange.response.get_mut()];
            halves.into_iter().flatten().fold(false, |any, m| split(&mut m.body, dice) | any)
        }
        _ => false,
    }
}

/// One of the fields that a client sets as it likes.
fn pick(headers: &Headers, dice: &mut Dice) -> Option<usize> {
    let free =
        |name: &[u8]| !name.starts_with(b":") && !KEPT.contains(&name) && !name.starts_with(b"x-envoy-");
    let count = headers.iter().filter(|(name, _)| free(name)).count();
    let wanted = dice.below(count);
    let mut fields = headers.iter().enumerate().filter(|(_, (name, _))| free(name));
    fields.nth(wanted).map(|(index, _)| index)
}

/// Keeps what the value begins with, so that a filter that looks at its start still goes on to the odd bytes.
fn odd_bytes(headers: &mut Headers, dice: &mut Dice) -> bool {
    let odd = ODD[dice.below(ODD.len())];
    match pick(headers, dice) {
        Some(index) => {
            let value = headers.at(index).map(|(_, value)| value).unwrap_or_default();
            let value = [value, odd].concat();
            headers.set_value(index, &value);
        }
        None => headers.push(MADE_UP, odd),
    }
    true
}

/// The second field comes right behind the first one: which of the two a filter believes is its own affair.
fn twice(headers: &mut Headers, dice: &mut Dice) -> bool {
    match pick(headers, dice) {
        Some(index) => {
            let (name, value) = headers.at(index).unwrap_or_default();
            let (name, value) = (name.to_vec(), [value, b"-2"].concat());
            headers.insert(index + 1, &name, &value);
        }
        None => {
            headers.push(MADE_UP, b"1");
            headers.push(MADE_UP, b"2");
        }
    }
    true
}

/// False when there is nothing to cut.
fn split(body: &mut Body, dice: &mut Dice) -> bool {
    if body.bytes.len() < 2 {
        return false;
    }
    body.chunks.clear();
    let mut left = body.bytes.len();
    while left > 0 {
        // The first piece is never all of it.
        let limit = if body.chunks.is_empty() { PIECE_LIMIT.min(left - 1) } else { PIECE_LIMIT };
        let piece =
            if body.chunks.len() + 1 == PIECES_LIMIT { left } else { (1 + dice.below(limit)).min(left) };
        body.chunks.push(u32::try_from(piece).unwrap_or(u32::MAX));
        left -= piece;
    }
    true
}
