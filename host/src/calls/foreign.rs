//! Foreign functions of Envoy (docs/envoy.md 2.10): those that need no library of Envoy's.

use super::{Answer, Call, Stop, unsupported};
use tamis_abi::Status;

/// What Envoy 1.40 has beside the ones below.
const KNOWN: &[&[u8]] = &[
    b"compress",
    b"uncompress",
    b"set_envoy_filter_state",
    b"verify_signature",
    b"sign",
    b"declare_property",
    b"expr_create",
    b"expr_evaluate",
    b"expr_delete",
];

/// 1 for an unknown name.
pub(super) fn call(
    call: &mut Call<'_, '_>,
    name: u32,
    nlen: u32,
    args: u32,
    alen: u32,
    at: u32,
    len: u32,
) -> Answer {
    let (view, _) = call.split()?;
    let name = view.read(name, nlen)?;
    view.read(args, alen)?;
    if name == b"clear_route_cache" {
        return if at == 0 || len == 0 { Ok(()) } else { call.give_bytes(&[], at, len) };
    }
    match KNOWN.contains(&name) {
        true => {
            let what = format!("foreign function `{}`", String::from_utf8_lossy(name));
            Err(unsupported::end(&what))
        }
        false => Err(Stop::Tell(Status::NotFound)),
    }
}
