//! Answers to callouts, for the root context (docs/envoy.md 2.6, 2.7).

use super::Play;
use super::call::Inside;
use crate::callouts::{Delivery, Event};
use crate::stage::Context;

impl Play<'_> {
    /// Tells the filter of an answer, or of a part of one.
    pub(super) fn deliver(&mut self, mut delivery: Delivery) {
        let (filter, vm, token) = (delivery.filter, delivery.vm, delivery.token);
        let Some(plugin) = self.desk.plugins.get_mut(filter) else { return };
        if plugin.root == 0 || plugin.root != delivery.root {
            return;
        }
        let context = Context { id: plugin.root, filter, stream: false };
        let before = plugin.status.0;
        let mut closed = false;
        match &mut delivery.event {
            Event::Http { broken: true, .. } => {
                plugin.status = (tamis_abi::Status::BrokenConnection.0, b"reset".to_vec());
            }
            Event::Closed { status, text } => {
                plugin.status = (*status, std::mem::take(text));
                closed = true;
            }
            _ => {}
        }
        // Names have tokens of their own.
        let grpc = !matches!(delivery.event, Event::Http { .. } | Event::Resolved(_));
        if grpc {
            self.desk.before_grpc(&mut delivery);
        }
        let ran = match delivery.event {
            Event::Http { .. } => self.tell_http(context, token, delivery.event),
            event => self.tell(context, token, event),
        };
        self.desk.callouts.hide();
        let plugin = &mut self.desk.plugins[filter];
        plugin.status.1.clear();
        if closed && ran == Ok(None) {
            // Without the callback Envoy keeps no status either.
            plugin.status.0 = before;
        }
        if grpc {
            self.desk.after_grpc(vm, token, closed);
        }
        if ran.is_ok() {
            self.drain(Inside::Nothing);
        }
    }

    fn tell_http(&mut self, context: Context, token: u32, event: Event) -> Result<Option<()>, ()> {
        let (name, size) = self.desk.callouts.show(event);
        let (headers, trailers) =
            self.desk.callouts.open.http.as_ref().map_or((0, 0), |message| {
                (message.headers.len(), message.trailers.get().map_or(0, |t| t.len()))
            });
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let params = (context.id, token, count(headers), size, count(trailers));
        self.call(context, name, |vm, desk, used| vm.run(desk, |c| &c.on_http_call_response, params, used))
    }

    fn tell(&mut self, context: Context, token: u32, event: Event) -> Result<Option<()>, ()> {
        let pick = match event {
            Event::Initial(_) => 0,
            Event::Received(_) => 1,
            Event::Trailing(_) | Event::Alone(_) => 2,
            Event::Resolved(_) => 3,
            Event::Closed { .. } | Event::Http { .. } => 4,
        };
        let (name, number) = self.desk.callouts.show(event);
        let params = (context.id, token, number);
        self.call(context, name, |vm, desk, used| {
            vm.run(
                desk,
                |c| match pick {
                    0 => &c.on_grpc_receive_initial_metadata,
                    1 => &c.on_grpc_receive,
                    2 => &c.on_grpc_receive_trailing_metadata,
                    3 => &c.on_resolve_dns,
                    _ => &c.on_grpc_close,
                },
                params,
                used,
            )
        })
    }
}
