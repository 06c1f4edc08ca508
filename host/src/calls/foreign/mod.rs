//! Foreign functions of Envoy (docs/envoy.md 2.10).

mod expression;
mod key;
mod pem;
mod proto;
mod signature;
mod state;
mod zlib;

use super::{Answer, Call, Stop, unsupported};
use crate::profile::since;
use crate::stage::Desk;
use tamis_abi::Status;

/// 1 for an unknown name, 2 for arguments that are none, else what the function gives. Where the address or the
/// length of the result is to go may be null, each for itself.
pub(super) fn call(
    call: &mut Call<'_, '_>,
    name: u32,
    nlen: u32,
    args: u32,
    alen: u32,
    at: u32,
    len: u32,
) -> Answer {
    let (view, desk) = call.split()?;
    let name = view.read(name, nlen)?;
    let args = view.read(args, alen)?;
    let result = run(desk, name, args)?;
    let address = call.hand_over(&result)?;
    if at != 0 {
        call.put(at, address)?;
    }
    if len != 0 {
        call.put(len, u32::try_from(result.len()).unwrap_or(u32::MAX))?;
    }
    Ok(())
}

fn run(desk: &mut Desk, name: &[u8], args: &[u8]) -> Answer<Vec<u8>> {
    let nothing = |()| Vec::new();
    match name {
        b"compress" => zlib::compress(args),
        b"uncompress" => zlib::uncompress(args),
        b"verify_signature" => signature::verify(args, desk.profile.has(since::PEM)),
        b"sign" if desk.profile.has(since::SIGN) => signature::sign(args),
        b"declare_property" => state::declare(desk, args).map(nothing),
        b"set_envoy_filter_state" => state::set_envoy(desk, args).map(nothing),
        b"expr_create" => expression::create(desk, args),
        b"expr_evaluate" => expression::evaluate(desk, args),
        b"expr_delete" => expression::delete(desk, args).map(nothing),
        // Nothing to clear: the recording says where the request went.
        b"clear_route_cache" => Ok(Vec::new()),
        _ => Err(Stop::Tell(Status::NotFound)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&[u8]; 10] = [
        b"compress",
        b"uncompress",
        b"verify_signature",
        b"sign",
        b"declare_property",
        b"set_envoy_filter_state",
        b"expr_create",
        b"expr_evaluate",
        b"expr_delete",
        b"clear_route_cache",
    ];

    /// Fields of bytes, as the arguments of most functions are.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let field = (1_u8..7, prop_oneof!["sha(1|256)", ".{0,9}"].prop_map(String::into_bytes));
        prop::collection::vec(field, 0..6).prop_map(|fields| {
            let mut out = Vec::new();
            fields.iter().for_each(|(number, bytes)| proto::put(&mut out, *number, bytes));
            out
        })
    }

    proptest! {
        #[test]
        fn envoy_2_10_garbage_gets_a_status(
            name in 0..NAMES.len(),
            args in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), message()],
        ) {
            let mut desk = Desk::idle();
            match run(&mut desk, NAMES[name], &args) {
                Ok(_) => {}
                Err(Stop::Tell(status)) => prop_assert!((1..=10).contains(&status.0)),
                Err(Stop::End(broke)) => prop_assert_eq!(broke.kind, tamis_traffic::FaultKind::NotSupported),
                Err(Stop::Trap(error)) => prop_assert!(false, "{}", error),
            }
        }
    }
}
