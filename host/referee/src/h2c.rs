//! Both ends of HTTP/2 without TLS: frames as recorded, no pool, no retry.

use crate::Error;
use crate::client::{Came, LOOK, READ, Request, between};
use crate::pack::PACKED;
use crate::told::{Board, In, Out};
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::time::{Duration, Instant};
use tamis_traffic::Headers;

pub(crate) type Bytes = io::Cursor<Vec<u8>>;

/// Bytes that may be under way without the peer's leave (1 GiB): flow control is not what is played.
const WINDOW: u32 = 1 << 30;
/// Longest header list, bytes (16 MiB): above what Envoy is configured to let through.
const LIST: u32 = 16 << 20;
/// Longest body that is kept, bytes (256 MiB).
const BODY: usize = 256 << 20;

pub(crate) fn run<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

pub(crate) fn broken(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// The client's side.
pub(crate) fn exchange(proxy: SocketAddr, request: &Request<'_>, board: &Board) -> Result<Came, Error> {
    run(async {
        let stream = tokio::net::TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).max_header_list_size(LIST);
        let (client, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(broken)?;
        let driver = tokio::spawn(connection);
        let mut head = http::Request::builder().method(request.method).uri("http://tamis/");
        for value in &request.out.packed {
            head = head.header(PACKED, value);
        }
        if let Some(content) = request.content {
            head = head.header("content-type", content);
        }
        let head = head.body(()).map_err(broken)?;
        let mut client = client.ready().await.map_err(broken)?;
        let (response, mut body) = client.send_request(head, request.out.body.is_none()).map_err(broken)?;
        // A proxy that answers early resets the rest; its answer still counts.
        let _ = send(&mut body, &request.out).await;
        let answer = async {
            let (head, body) = response.await.ok()?.into_parts();
            let mut headers = Headers::new();
            headers.push(b":status", head.status.as_str().as_bytes());
            take_fields(&head.headers, &mut headers);
            let mut got = take(body).await;
            got.headers = headers;
            Some(got)
        };
        tokio::pin!(answer);
        let end = Instant::now() + request.limit;
        let came = loop {
            let over = || Instant::now() > end;
            match (tokio::time::timeout(LOOK, &mut answer).await, &request.leave) {
                (Ok(response), _) => break Came { response, left: false },
                (Err(_), Some(leave)) if (leave.reached)() || over() => {
                    (leave.settle)();
                    break match tokio::time::timeout(READ, &mut answer).await {
                        Ok(response) => Came { response, left: false },
                        Err(_) => {
                            // It goes as clients go over HTTP/2: the connection stays until that is out.
                            body.send_reset(Reason::CANCEL);
                            tokio::time::sleep(LOOK).await;
                            Came { response: None, left: true }
                        }
                    };
                }
                (Err(_), None) if board.held() || over() => break Came::default(),
                (Err(_), _) => {}
            }
        };
        driver.abort();
        Ok(came)
    })
    .map_err(Error::Peer)
}

/// A server that lets everything come.
pub(crate) fn server() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).max_header_list_size(LIST);
    builder
}

/// The upstream's side of one connection.
pub(crate) fn serve(stream: TcpStream, board: &Board, idle: Duration) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    run(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut connection = server().handshake::<_, Bytes>(stream).await.map_err(broken)?;
        let mut under_way: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        loop {
            // Streams go on while the connection is driven.
            let next = poll_fn(|context| {
                under_way.retain_mut(|stream| Future::poll(stream.as_mut(), context).is_pending());
                connection.poll_accept(context)
            });
            let Ok(Some(Ok((request, respond)))) = tokio::time::timeout(idle, next).await else {
                return Ok(());
            };
            under_way.push(Box::pin(answer(request, respond, board)));
        }
    })
}

async fn answer(
    request: http::Request<RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    board: &Board,
) {
    let (_, body) = request.into_parts();
    let got = take(body).await;
    let cut = got.cut;
    let told = board.arrive(got);
    let Some(told) = told.filter(|_| !cut) else {
        // Until the proxy gives up.
        let _ = poll_fn(|context| respond.poll_reset(context)).await;
        return;
    };
    let mut head = http::Response::builder().status(told.status);
    for value in &told.out.packed {
        head = head.header(PACKED, value);
    }
    let Ok(head) = head.body(()) else { return respond.send_reset(Reason::INTERNAL_ERROR) };
    if let Ok(mut body) = respond.send_response(head, told.out.body.is_none()) {
        // A proxy that has gone away is the exchange's business.
        let _ = send(&mut body, &told.out).await;
        board.answer();
        if told.out.open {
            // Until the proxy gives up.
            let _ = poll_fn(|context| body.poll_reset(context)).await;
        }
    }
}

async fn send(body: &mut SendStream<Bytes>, out: &Out) -> Result<(), h2::Error> {
    let Some(pieces) = &out.body else { return Ok(()) };
    let ends = out.trailers.is_none() && !out.open;
    let last = if ends { pieces.len().checked_sub(1) } else { None };
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            tokio::time::sleep(between(pieces.len())).await;
        }
        body.send_data(io::Cursor::new(piece.clone()), last == Some(index))?;
    }
    match &out.trailers {
        Some(trailers) => body.send_trailers(fields(trailers)),
        None if out.open => Ok(()),
        None if pieces.is_empty() => body.send_data(io::Cursor::new(Vec::new()), true),
        None => Ok(()),
    }
}

/// Fields that HTTP/2 can carry; a name or value that it cannot would end the connection.
pub(crate) fn fields(from: &[(Vec<u8>, Vec<u8>)]) -> HeaderMap {
    let field = |(name, value): &(Vec<u8>, Vec<u8>)| {
        let name = http::HeaderName::from_bytes(name).ok()?;
        Some((name, http::HeaderValue::from_bytes(value).ok()?))
    };
    let mut map = HeaderMap::new();
    for (name, value) in from.iter().filter_map(field) {
        map.append(name, value);
    }
    map
}

pub(crate) fn take_fields(from: &HeaderMap, into: &mut Headers) {
    for (name, value) in from {
        into.push(name.as_str().as_bytes(), value.as_bytes());
    }
}

pub(crate) async fn take(mut body: RecvStream) -> In {
    let mut got = In::default();
    while let Some(data) = poll_fn(|context| body.poll_data(context)).await {
        match data {
            Ok(data) if got.body.len() + data.len() <= BODY => {
                got.body.extend_from_slice(&data);
                if body.flow_control().release_capacity(data.len()).is_err() {
                    got.cut = true;
                }
            }
            _ => {
                got.cut = true;
                return got;
            }
        }
    }
    match poll_fn(|context| body.poll_trailers(context)).await {
        Ok(Some(trailers)) => take_fields(&trailers, got.trailers.insert(Headers::new())),
        Ok(None) => {}
        Err(_) => got.cut = true,
    }
    got
}
