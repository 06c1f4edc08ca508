//! Envoy tap in binary: length-delimited messages, or the fields of one message.

use super::finish::finish;
use super::limits::MAX_RECORD;
use super::streams::{Streams, Target};
use super::tap_pb::{self, Wrapper};
use super::wire::varint;
use super::{Context, Source, input::Input};
use crate::{Exchange, Place, Skip};
use std::io;

/// Reads a binary tap.
pub(super) struct TapBinary {
    delimited: bool,
    streams: Streams,
}

/// Where the next message lies in the window.
enum Frame {
    End,
    /// Not to be read: skip this many bytes.
    Skip(Skip, u64),
    /// Framing is lost: the rest of the file cannot be read.
    Lost(Skip),
    /// The message, behind a head of some bytes.
    Message {
        head: usize,
        length: usize,
    },
}

impl TapBinary {
    /// `delimited`: each message behind its length (`PROTO_BINARY_LENGTH_DELIMITED`). Otherwise one message
    /// for the file, or for a streamed tap several without lengths, which read as repeated fields.
    pub(super) fn new(delimited: bool) -> Self {
        Self { delimited, streams: Streams::default() }
    }

    #[inline]
    fn frame(&self, input: &mut Input) -> io::Result<Frame> {
        if input.window().len() < 11 {
            input.want(11)?;
        }
        let window = input.window();
        if window.is_empty() {
            return Ok(Frame::End);
        }
        let tag = usize::from(!self.delimited);
        let Some((length, used)) = window.get(tag..).and_then(varint) else {
            return Ok(Frame::Lost(if window.len() < 11 { Skip::Torn } else { Skip::Malformed }));
        };
        let head = tag + used;
        if length > MAX_RECORD as u64 {
            return Ok(Frame::Skip(Skip::TooLong, length.saturating_add(head as u64)));
        }
        let length = length as usize;
        if window.len() < head + length && !input.want(head + length)? {
            return Ok(Frame::Lost(Skip::Torn));
        }
        Ok(Frame::Message { head, length })
    }
}

impl Source for TapBinary {
    fn next(&mut self, input: &mut Input, context: &mut Context, into: &mut Exchange) -> io::Result<bool> {
        loop {
            if self.streams.give(into) {
                return Ok(true);
            }
            let place = Place { offset: input.offset(), ..Place::default() };
            let (head, length) = match self.frame(input)? {
                Frame::Message { head, length } => (head, length),
                Frame::Skip(why, count) => {
                    context.skip(why, place);
                    if !input.skip(count)? {
                        context.skip(Skip::Torn, Place { offset: input.offset(), ..Place::default() });
                    }
                    continue;
                }
                Frame::Lost(why) => {
                    context.skip(why, place);
                    while input.more()? {
                        input.consume(usize::MAX);
                    }
                    input.consume(usize::MAX);
                    continue;
                }
                Frame::End => {
                    self.streams.end(context);
                    return Ok(self.streams.give(into));
                }
            };
            let frame = &input.window()[..head + length];
            let wrapper =
                if self.delimited { tap_pb::wrapper(&frame[head..]) } else { tap_pb::wrapper(frame) };
            let taken = match wrapper {
                Ok(Wrapper::Buffered(trace)) => tap_pb::buffered(trace, into).map(|(request, response)| {
                    finish(into, request, response, true, context);
                    true
                }),
                Ok(Wrapper::Segment(bytes)) => tap_pb::segment(bytes).map(|segment| {
                    if let Some(segment) = segment {
                        self.streams.take(segment.stream, segment.piece, &place, context, |to| match to {
                            Target::Headers(headers) => segment.headers(headers).map(|()| headers.byte_len()),
                            Target::Body(body) => segment.body(body),
                        });
                    }
                    false
                }),
                Err(why) => Err(why),
            };
            input.consume(head + length);
            match taken {
                Ok(true) if into.request.is_none() && into.response.is_none() => {
                    context.skip(Skip::Nothing, place);
                }
                Ok(true) => {
                    into.place = place;
                    return Ok(true);
                }
                Ok(false) => {}
                Err(why) => context.skip(why, place),
            }
        }
    }
}
