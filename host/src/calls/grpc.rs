//! gRPC calls and streams, and names to resolve (docs/envoy.md 1.2, 2.7).

use super::{Answer, Call, Stop, callout};
use crate::callouts::{Event, NoTarget, Order, Refused, Service};
use crate::stage::{At, Context};
use crate::vm::Broke;
use tamis_abi::Status;
use tamis_traffic::{CalloutKind, FaultKind, Headers};

/// 4 neither an encoded service nor a known cluster; 10 could not start: then the end comes after the callback. The token
/// word is written on success only.
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(super) fn grpc_call(
    call: &mut Call<'_, '_>,
    service: u32,
    slen: u32,
    name: u32,
    nlen: u32,
    method: u32,
    mlen: u32,
    metadata: u32,
    mdlen: u32,
    message: u32,
    msglen: u32,
    timeout: u32,
    token: u32,
) -> Answer {
    let method = Method {
        service: (service, slen),
        name: (name, nlen),
        method: (method, mlen),
        metadata: (metadata, mdlen),
    };
    let sent = call.split()?.0.read(message, msglen)?.to_vec();
    let order = method.order(call, CalloutKind::GrpcCall)?;
    start(call, Order { message: sent, timeout, ..order }, token)
}

/// As a call; a cluster without hosts is told inside the function.
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(super) fn grpc_stream(
    call: &mut Call<'_, '_>,
    service: u32,
    slen: u32,
    name: u32,
    nlen: u32,
    method: u32,
    mlen: u32,
    metadata: u32,
    mdlen: u32,
    token: u32,
) -> Answer {
    let method = Method {
        service: (service, slen),
        name: (name, nlen),
        method: (method, mlen),
        metadata: (metadata, mdlen),
    };
    let order = method.order(call, CalloutKind::GrpcStream)?;
    start(call, order, token)
}

/// Addresses and lengths of what both functions take.
struct Method {
    service: (u32, u32),
    name: (u32, u32),
    method: (u32, u32),
    metadata: (u32, u32),
}

impl Method {
    fn order(&self, call: &mut Call<'_, '_>, kind: CalloutKind) -> Answer<Order> {
        let (view, _) = call.split()?;
        let text = |at: (u32, u32)| view.read(at.0, at.1).map(|b| String::from_utf8_lossy(b).into_owned());
        let (name, method) = (text(self.name)?, text(self.method)?);
        let mut metadata = Headers::new();
        callout::decode(view.read(self.metadata.0, self.metadata.1)?, &mut metadata);
        let service = Service::read(view.read(self.service.0, self.service.1)?).map_err(no_service)?;
        Ok(Order { kind, service, name, method, metadata, message: Vec::new(), timeout: 0 })
    }
}

#[cold]
fn no_service(_: NoTarget) -> Stop {
    let text = "the gRPC service is a protobuf message without a target, which aborts Envoy: some names of clusters read as \
                one; give an encoded `GrpcService`";
    Stop::End(Broke::new(FaultKind::WouldCrash, text))
}

fn start(call: &mut Call<'_, '_>, order: Order, token: u32) -> Answer {
    let started = call.desk().start_grpc(order);
    if let Some((number, events)) = started.inline {
        for event in events {
            tell_inside(call, number, event)?;
        }
        call.desk().forget_grpc(number);
    }
    match started.result {
        Ok(number) => call.put(token, number),
        Err(Refused::NoService) => Err(Stop::Tell(Status::ParseFailure)),
        Err(Refused::BadArgument) => Err(Stop::Tell(Status::BadArgument)),
        Err(Refused::CannotStart) => Err(Stop::Tell(Status::InternalFailure)),
        Err(Refused::TooMany(limit)) => Err(limit.into()),
    }
}

/// Calls the filter back before the host function returns, as Envoy does where an answer is there at once.
#[cold]
fn tell_inside(call: &mut Call<'_, '_>, token: u32, event: Event) -> Answer {
    let desk = call.desk();
    let filter = desk.at.effective.filter;
    let Some(plugin) = desk.plugins.get(filter) else { return Ok(()) };
    let root = Context { id: plugin.root, filter, stream: false };
    let outer = desk.at;
    let (name, number) = desk.callouts.show(event);
    desk.at = At { current: root, effective: root, phase: name, ..outer };
    let ran = call.run_inside(name, (root.id, token, number));
    let desk = call.desk();
    if ran.is_ok() {
        desk.at = outer;
    }
    desk.callouts.hide_inside();
    if std::mem::take(&mut desk.callouts.failed) {
        let text = "a callout that could not start, and then a callback inside a host function: a worker of Envoy never \
                    leaves it";
        desk.fault(FaultKind::WouldHang, Some(filter), text);
    }
    ran
}

/// 2 not a stream's token, 1 an unknown stream.
pub(super) fn grpc_send(call: &mut Call<'_, '_>, token: u32, data: u32, dlen: u32, end: u32) -> Answer {
    let (view, desk) = call.split()?;
    Ok(desk.grpc_send(token, view.read(data, dlen)?, end != 0)?)
}

/// 2 not a gRPC token, 1 unknown.
pub(super) fn grpc_close(call: &mut Call<'_, '_>, token: u32) -> Answer {
    Ok(call.desk().grpc_close(token)?)
}

/// 2 not a gRPC token, 1 unknown.
pub(super) fn grpc_cancel(call: &mut Call<'_, '_>, token: u32) -> Answer {
    Ok(call.desk().grpc_cancel(token)?)
}

/// An address is answered inside the function.
pub(super) fn resolve_dns(call: &mut Call<'_, '_>, name: u32, nlen: u32, ret: u32) -> Answer {
    let (mut view, desk) = call.split()?;
    let name = view.read(name, nlen)?.to_vec();
    // Must be writable before anything starts.
    view.write_u32(ret, 0)?;
    let (token, inline) = match desk.resolve(&name) {
        Ok(asked) => asked,
        Err(Refused::TooMany(limit)) => return Err(limit.into()),
        Err(_) => return Err(Stop::Tell(Status::InternalFailure)),
    };
    call.put(ret, token)?;
    inline.map_or(Ok(()), |event| tell_inside(call, token, event))
}
