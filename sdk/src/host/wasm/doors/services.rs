//! The callbacks of gRPC and of queues.

use crate::events::{self, GrpcEvent};

#[unsafe(export_name = "tamis.for.proxy_on_grpc_receive_initial_metadata")]
#[inline(never)]
pub(in super::super) extern "C" fn grpc_initial(root: u32, token: u32, _count: u32) {
    events::grpc(root, token, GrpcEvent::Initial);
}

#[unsafe(export_name = "tamis.for.proxy_on_grpc_receive")]
#[inline(never)]
pub(in super::super) extern "C" fn grpc_receive(root: u32, token: u32, size: usize) {
    events::grpc(root, token, GrpcEvent::Message(size));
}

#[unsafe(export_name = "tamis.for.proxy_on_grpc_receive_trailing_metadata")]
#[inline(never)]
pub(in super::super) extern "C" fn grpc_trailing(root: u32, token: u32, _count: u32) {
    events::grpc(root, token, GrpcEvent::Trailing);
}

#[unsafe(export_name = "tamis.for.proxy_on_grpc_close")]
#[inline(never)]
pub(in super::super) extern "C" fn grpc_close(root: u32, token: u32, status: u32) {
    events::grpc(root, token, GrpcEvent::Close(status));
}

#[unsafe(export_name = "tamis.for.proxy_on_queue_ready")]
#[inline(never)]
pub(in super::super) extern "C" fn queue_ready(root: u32, token: u32) {
    // 0 is no queue: the crate is only led home, see `route_callouts`.
    if token != 0 {
        events::queue(root, token);
    }
}
