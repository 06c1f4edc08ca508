//! An upstream that speaks HTTP/2 and gRPC, and answers as told.

use super::message::Seen;
use super::pace::Pace;
use super::upstream::{NEVER, PAUSE, Plan, lock};
use crate::row::{Answer, End, Grpc};
use anyhow::Result;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use std::future::poll_fn;
use std::io::Cursor;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is sent.
type Data = Cursor<Vec<u8>>;

/// Between a request's headers and the answer: the request's first message is there by then.
const GRACE: Duration = Duration::from_millis(20);
/// In the place of these two pauses where a million exchanges are played.
const BRISK: Duration = Duration::from_millis(5);

/// Serves one connection until the proxy closes it.
pub(super) fn serve(stream: TcpStream, plan: &Arc<Mutex<Plan>>, pace: &Pace) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    // A proxy that left early is the row's business.
    let _ = tokio::task::LocalSet::new().block_on(&runtime, connection(stream, plan, pace.keeps));
}

async fn connection(stream: TcpStream, plan: &Arc<Mutex<Plan>>, brisk: bool) -> Result<()> {
    let pause = if brisk { BRISK } else { PAUSE };
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let mut connection = h2::server::Builder::new().handshake::<_, Data>(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let (head, body) = request.into_parts();
        let mut seen = Seen { start: format!("{} {}", head.method, head.uri.path()), ..Seen::default() };
        let host = head.uri.authority().map(|a| a.as_str().as_bytes().to_vec());
        seen.headers.extend(host.map(|host| ("host".into(), host)));
        seen.headers.extend(head.headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())));
        let (answer, number) = lock(plan).answer(seen);
        tokio::task::spawn_local(listen(body, Arc::clone(plan), number));
        tokio::task::spawn_local(async move { give(respond, &answer, pause).await.unwrap_or_default() });
    }
    Ok(())
}

/// Notes the request's body as it comes.
async fn listen(mut body: RecvStream, plan: Arc<Mutex<Plan>>, number: usize) {
    while let Some(Ok(data)) = poll_fn(|cx| body.poll_data(cx)).await {
        // The peer's window grows again; a connection that is gone needs none.
        let _ = body.flow_control().release_capacity(data.len());
        if let Some(seen) = lock(&plan).seen.get_mut(number) {
            seen.body.extend_from_slice(&data);
        }
    }
}

async fn give(mut respond: SendResponse<Data>, answer: &Answer, pause: Duration) -> Result<()> {
    tokio::time::sleep(GRACE.min(pause) + Duration::from_millis(answer.after)).await;
    match answer.end {
        End::Reset => {
            respond.send_reset(Reason::REFUSED_STREAM);
            return Ok(());
        }
        End::Never => {
            tokio::time::sleep(NEVER).await;
            return Ok(());
        }
        End::Complete | End::ResetMidBody => {}
    }
    match &answer.grpc {
        Some(grpc) => in_grpc(respond, grpc, answer.end, pause).await,
        None => plainly(respond, answer, pause).await,
    }
}

async fn in_grpc(mut respond: SendResponse<Data>, grpc: &Grpc, end: End, pause: Duration) -> Result<()> {
    let only = grpc.trailers_only();
    let mut head = http::Response::builder().status(200).header("content-type", "application/grpc");
    for (name, value) in &grpc.headers {
        head = head.header(name, value);
    }
    let mut head = head.body(())?;
    if only {
        head.headers_mut().extend(trailers(grpc)?);
    }
    let mut stream = respond.send_response(head, only)?;
    if only {
        return Ok(());
    }
    for message in &grpc.messages {
        tokio::time::sleep(pause).await;
        stream.send_data(Cursor::new(frame(message.as_bytes())), false)?;
        if end == End::ResetMidBody {
            break;
        }
    }
    tokio::time::sleep(pause).await;
    if end == End::ResetMidBody {
        stream.send_reset(Reason::INTERNAL_ERROR);
    } else if grpc.open {
        tokio::time::sleep(NEVER).await;
    } else {
        stream.send_trailers(trailers(grpc)?)?;
    }
    Ok(())
}

fn trailers(grpc: &Grpc) -> Result<http::HeaderMap> {
    let mut map = http::HeaderMap::new();
    map.insert("grpc-status", grpc.status.into());
    if !grpc.text.is_empty() {
        map.insert("grpc-message", grpc.text.parse()?);
    }
    map.extend(fields(&grpc.trailers)?);
    Ok(map)
}

fn fields(list: &[(String, String)]) -> Result<http::HeaderMap> {
    let mut map = http::HeaderMap::new();
    for (name, value) in list {
        map.append(http::HeaderName::try_from(name)?, value.parse()?);
    }
    Ok(map)
}

/// An answer that is no gRPC.
async fn plainly(mut respond: SendResponse<Data>, answer: &Answer, pause: Duration) -> Result<()> {
    let mut head = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        head = head.header(name, value);
    }
    let bare = answer.trailers.is_empty();
    let mut stream = respond.send_response(head.body(())?, answer.body.is_empty() && bare)?;
    for (i, piece) in answer.body.iter().enumerate() {
        tokio::time::sleep(if i == 0 { pause } else { Duration::from_millis(answer.between) }).await;
        stream.send_data(Cursor::new(piece.bytes()), bare && i + 1 == answer.body.len())?;
    }
    if !bare {
        tokio::time::sleep(pause).await;
        stream.send_trailers(fields(&answer.trailers)?)?;
    }
    Ok(())
}

/// A message in its frame: a zero byte, the length, the bytes.
fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}
