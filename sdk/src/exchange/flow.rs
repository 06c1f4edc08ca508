//! Bodies and trailers of an exchange, which pass its hooks.

use super::{Exchange, Stage};
use crate::body::{Flow, Side};
use crate::filter::OnError;
use crate::root::count_failure;
use crate::{Error, tasks};
use tamis_abi::{Action, BufferType, MapType};

impl Exchange {
    pub(crate) fn request_body(&self, size: usize, end: bool) -> Action {
        self.body(&self.request, Stage::Request, BufferType::HttpRequestBody, size, end)
    }

    pub(crate) fn response_body(&self, size: usize, end: bool) -> Action {
        self.body(&self.response, Stage::Response, BufferType::HttpResponseBody, size, end)
    }

    pub(crate) fn request_trailers(&self) -> Action {
        let (buffer, map) = (BufferType::HttpRequestBody, MapType::HttpRequestTrailers);
        self.trailers(&self.request, Stage::Request, buffer, map)
    }

    pub(crate) fn response_trailers(&self) -> Action {
        let (buffer, map) = (BufferType::HttpResponseBody, MapType::HttpResponseTrailers);
        self.trailers(&self.response, Stage::Response, buffer, map)
    }

    fn body(&self, side: &Side, held: Stage, buffer: BufferType, size: usize, end: bool) -> Action {
        tasks::enter_exchange(self.id.get());
        if self.stage.get() == held {
            // Only with `allow_on_headers_stop_iteration`: going on here would let the headers go too.
            side.missed.set(true);
            self.look_closer();
            return Action::Pause;
        }
        if matches!(self.stage.get(), Stage::Answered | Stage::Ended) {
            return Action::Continue;
        }
        match side.run(buffer, size, end) {
            Ok(Flow::On) => Action::Continue,
            Ok(Flow::Hold) => Action::Pause,
            Err(error) => self.failed_in_body(error),
        }
    }

    fn trailers(&self, side: &Side, held: Stage, buffer: BufferType, map: MapType) -> Action {
        tasks::enter_exchange(self.id.get());
        if self.stage.get() == held {
            return Action::Pause;
        }
        if matches!(self.stage.get(), Stage::Answered | Stage::Ended) {
            return Action::Continue;
        }
        match side.finish(buffer, map) {
            Ok(()) => Action::Continue,
            Err(error) => self.failed_in_body(error),
        }
    }

    /// As [`failed`](Self::failed); what passes is the piece, `handle` goes on undisturbed.
    fn failed_in_body(&self, error: Error) -> Action {
        let error = match error.into_reply() {
            Ok(reply) => return self.answer(reply),
            Err(error) => error,
        };
        match count_failure("exchange", self.policy(), &error) {
            OnError::Pass => Action::Continue,
            OnError::Deny => self.deny(&error),
            OnError::Reply(reply) => self.answer(reply),
        }
    }
}
