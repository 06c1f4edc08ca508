//! A service that speaks HTTP/2: gRPC in all its forms, and what is none.

use super::{PAUSE, Service, is_own, timeout};
use crate::h2c::{Bytes, broken, fields, run, server, take, take_fields};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::pin::pin;
use std::task::Poll;
use tamis_traffic::answers::Answer;
use tamis_traffic::grpc::append_frame;
use tamis_traffic::{Callout, CalloutKind, GrpcEnd, GrpcReply, GrpcStatus, Headers, Message};

/// What is no field of HTTP/2 (RFC 9113, 8.2.2).
const CONNECTION: [&[u8]; 5] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

/// Envoy sends one request on each connection.
pub(super) fn serve(stream: TcpStream, service: &Service) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    run(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut connection = server().handshake::<_, Bytes>(stream).await.map_err(broken)?;
        let Some(Ok((request, respond))) = connection.accept().await else { return Ok(()) };
        let closed = poll_fn(|context| connection.poll_closed(context));
        let keep = first(answer(request, respond, service), async {
            let _ = closed.await;
            false
        });
        if keep.await {
            // What was sent last has to leave.
            let closed = poll_fn(|context| connection.poll_closed(context));
            let _ = tokio::time::timeout(service.idle, closed).await;
        }
        Ok(())
    })
}

/// What comes first.
async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Pending => other.as_mut().poll(context),
        ready => ready,
    })
    .await
}

/// False when the connection is to break.
async fn answer(request: http::Request<RecvStream>, respond: SendResponse<Bytes>, service: &Service) -> bool {
    let (head, mut body) = request.into_parts();
    let mut callout = callout(&head, service);
    // A stream is answered at once, and goes on talking.
    if callout.kind == CalloutKind::GrpcStream {
        let answer = service.answer(&callout);
        let mut call = service.board.call(callout);
        let listen = async {
            while let Some(Ok(data)) = poll_fn(|context| body.poll_data(context)).await {
                let _ = body.flow_control().release_capacity(data.len());
                service.board.more(&mut call, &data);
            }
            // An answer may still be under way.
            std::future::pending().await
        };
        return first(give(respond, answer), listen).await;
    }
    callout.request.body.bytes = take(body).await.body;
    let kind = callout.kind;
    let answer = service.answer(&callout);
    service.board.call(callout);
    match (kind, answer) {
        (CalloutKind::Http, Answer::Reset { after }) => {
            tokio::time::sleep(after).await;
            false
        }
        (CalloutKind::Http, answer) => give(respond, answer.in_http()).await,
        (_, answer) => give(respond, answer).await,
    }
}

/// The call as its filter made it. Envoy gives a `grpc-timeout` to calls and none to streams (docs/envoy.md 2.7).
fn callout(head: &http::request::Parts, service: &Service) -> Callout {
    let mut all = Headers::new();
    all.push(b":method", head.method.as_str().as_bytes());
    all.push(b":path", head.uri.path_and_query().map_or("", |p| p.as_str()).as_bytes());
    all.push(b":authority", head.uri.authority().map_or("", |a| a.as_str()).as_bytes());
    take_fields(&head.headers, &mut all);
    let grpc = all.get(b"content-type").is_some_and(|t| t.starts_with(b"application/grpc"));
    let kind = match (grpc, all.get(b"grpc-timeout")) {
        (false, _) => CalloutKind::Http,
        (true, Some(_)) => CalloutKind::GrpcCall,
        (true, None) => CalloutKind::GrpcStream,
    };
    let request = Message { headers: all.iter().filter(|(n, _)| is_own(n)).collect(), ..Message::default() };
    let (cluster, timeout_ms) = (service.cluster.name.clone(), timeout(&all));
    Callout { kind, cluster, timeout_ms, request, ..Callout::default() }
}

/// Gives an answer; a proxy that has gone away is the exchange's business.
async fn give(mut respond: SendResponse<Bytes>, answer: Answer) -> bool {
    match answer {
        Answer::Reply { message, after } => {
            tokio::time::sleep(after).await;
            let _ = reply(respond, &message);
        }
        Answer::Grpc(reply) => {
            let _ = talk(respond, &reply).await;
        }
        Answer::ResetMidBody { after } => {
            let torn = GrpcReply { after, end: GrpcEnd::Reset, ..GrpcReply::default() };
            let _ = talk(respond, &torn).await;
        }
        Answer::Reset { after } => {
            tokio::time::sleep(after).await;
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        // Whoever builds the chain leaves such clusters out, or their hosts.
        Answer::UnknownCluster | Answer::NoHosts => return false,
        // Until the proxy gives up.
        Answer::Timeout | Answer::Unanswered | Answer::Addresses { .. } => {
            let _ = poll_fn(|context| respond.poll_reset(context)).await;
        }
    }
    true
}

/// A response as it is on the wire.
fn reply(mut respond: SendResponse<Bytes>, message: &Message) -> Result<(), h2::Error> {
    let (body, trailers) = (&message.body.bytes, message.trailers.get());
    let mut stream = respond.send_response(head(&message.headers), body.is_empty() && trailers.is_none())?;
    if !body.is_empty() {
        stream.send_data(io::Cursor::new(body.clone()), trailers.is_none())?;
    }
    trailers.map_or(Ok(()), |trailers| stream.send_trailers(map(trailers)))
}

/// A response in the terms of gRPC, in its time.
async fn talk(mut respond: SendResponse<Bytes>, said: &GrpcReply) -> Result<(), h2::Error> {
    tokio::time::sleep(said.after).await;
    if said.trailers_only() {
        return reply(respond, &said.to_wire().unwrap_or_default());
    }
    let mut stream = respond.send_response(head(&said.head()), false)?;
    for message in &said.messages {
        tokio::time::sleep(message.after).await;
        let mut frame = Vec::new();
        append_frame(&message.bytes, &mut frame);
        stream.send_data(io::Cursor::new(frame), false)?;
    }
    end(stream, &said.end).await
}

async fn end(mut stream: SendStream<Bytes>, end: &GrpcEnd) -> Result<(), h2::Error> {
    match end {
        GrpcEnd::Open => poll_fn(|context| stream.poll_reset(context)).await.map(drop),
        GrpcEnd::Status(status) => stream.send_trailers(trailers(status)),
        GrpcEnd::Reset => {
            tokio::time::sleep(PAUSE).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
    }
}

fn trailers(status: &GrpcStatus) -> HeaderMap {
    let mut headers = Headers::new();
    status.write(&mut headers);
    map(&headers)
}

fn head(headers: &Headers) -> http::Response<()> {
    let mut head = http::Response::new(());
    let status = headers.text(":status").and_then(|status| status.parse().ok());
    *head.status_mut() = status.unwrap_or(http::StatusCode::OK);
    *head.headers_mut() = map(headers);
    head
}

fn map(headers: &Headers) -> HeaderMap {
    let own = |name: &[u8]| !name.starts_with(b":") && !CONNECTION.contains(&name);
    let list: Vec<_> =
        headers.iter().filter(|(n, _)| own(n)).map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    fields(&list)
}
