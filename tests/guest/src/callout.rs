//! gRPC calls, gRPC streams and names to resolve, and what comes back of them.
//!
//! `gcall SERVICE TIMEOUT NAME METHOD PAIRS MESSAGE` and `gstream SERVICE NAME METHOD PAIRS`: `SERVICE` is the bytes
//! that the host gets; `@CLUSTER` is the encoded `GrpcService` of that cluster, `@@ADDRESS` one with `google_grpc`. `dns NAME`.

use crate::abi::*;
use crate::script::{bytes, pairs};
use crate::{play, with};

/// Starts a gRPC call; gives the status and the token.
pub(crate) fn grpc_call(words: &[&str]) -> (u32, u32) {
    let word = |i: usize| words.get(i).copied().unwrap_or("");
    let (service, name, method) = (service(word(0)), bytes(word(2)), bytes(word(3)));
    let (metadata, message) = (pairs(word(4)), bytes(word(5)));
    let timeout = word(1).parse::<i64>().unwrap_or(0) as u32;
    let mut token = 0_u32;
    // SAFETY: pointers and lengths are those of live slices and of one local.
    let status = unsafe {
        proxy_grpc_call(
            service.as_ptr(),
            service.len(),
            name.as_ptr(),
            name.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            message.as_ptr(),
            message.len(),
            timeout,
            &raw mut token,
        )
    };
    (status, token)
}

/// Opens a gRPC stream; gives the status and the token.
pub(crate) fn grpc_stream(words: &[&str]) -> (u32, u32) {
    let word = |i: usize| words.get(i).copied().unwrap_or("");
    let (service, name, method) = (service(word(0)), bytes(word(1)), bytes(word(2)));
    let metadata = pairs(word(3));
    let mut token = 0_u32;
    // SAFETY: pointers and lengths are those of live slices and of one local.
    let status = unsafe {
        proxy_grpc_stream(
            service.as_ptr(),
            service.len(),
            name.as_ptr(),
            name.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            &raw mut token,
        )
    };
    (status, token)
}

/// Asks for the addresses of a name; gives the status and the token.
pub(crate) fn resolve(words: &[&str]) -> (u32, u32) {
    let name = bytes(words.first().copied().unwrap_or(""));
    let mut token = 0_u32;
    // SAFETY: pointer and length of a live slice, and one local.
    let status = unsafe { envoy_resolve_dns(name.as_ptr(), name.len(), &raw mut token) };
    (status, token)
}

/// `@CLUSTER`: the message `GrpcService { envoy_grpc { cluster_name } }`; `@@ADDRESS`: `GrpcService { google_grpc {
/// target_uri, stat_prefix } }`; else the bytes of the word.
fn service(word: &str) -> Vec<u8> {
    let field = |number: u8, inner: &[u8]| [&[number << 3 | 2, inner.len() as u8], inner].concat();
    if let Some(target) = word.strip_prefix("@@") {
        return field(2, &[field(1, &bytes(target)), field(4, b"x")].concat());
    }
    let Some(cluster) = word.strip_prefix('@') else { return bytes(word) };
    field(1, &field(1, &bytes(cluster)))
}

macro_rules! answers {
    ($($name:ident = $phase:literal, $fact:literal;)*) => {
        $(
            #[doc = concat!("Phase `", $phase, "`: plays the script of the stream that called.")]
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name(id: u32, token: u32, number: u32) {
                let caller = with(|s| s.calls.get(&token).copied()).unwrap_or(id);
                let facts = format!(concat!(" token={} ", $fact, "={}"), token, number);
                play(id, caller, $phase, &facts, 0, caller);
            }
        )*
    };
}

answers! {
    proxy_on_grpc_receive_initial_metadata = "ginit", "n";
    proxy_on_grpc_receive = "gmsg", "size";
    proxy_on_grpc_receive_trailing_metadata = "gtrail", "n";
    proxy_on_grpc_close = "gend", "status";
}

/// A name was resolved. Tokens of names have their own numbers, so the script is the root's.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_on_resolve_dns(id: u32, token: u32, size: u32) {
    play(id, id, "dns", &format!(" token={token} size={size}"), 0, id);
}
