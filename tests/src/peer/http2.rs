//! The client over HTTP/2 without TLS, for what only HTTP/2 shows.

use super::client::{HOST, LEFT, STAY};
use super::message::{CUT, Seen};
use crate::row::{Leaves, Step};
use anyhow::{Context, Result};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);
/// Between two pieces of a body, so that each arrives alone.
const BETWEEN: Duration = Duration::from_millis(30);

/// Sends the body piece by piece, the last frame ending the stream.
pub(super) fn exchange(proxy: SocketAddr, step: &Step) -> Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::time::timeout(LIMIT, play(proxy, step)).await.context("no HTTP/2 answer in time")?
    })
}

async fn play(proxy: SocketAddr, step: &Step) -> Result<Seen> {
    let stream = tokio::net::TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let mut request = http::Request::builder()
        .version(http::Version::HTTP_2)
        .method(step.method())
        .uri(format!("http://{HOST}{}", step.path()));
    for (name, value) in step.all_headers() {
        request = request.header(name, value);
    }
    let mut client = client.ready().await?;
    let bare = step.trailers.is_empty();
    let (response, mut body) = client.send_request(request.body(())?, step.body.is_empty() && bare)?;
    let sent: Result<()> = async {
        for (i, piece) in step.body.iter().enumerate() {
            if i > 0 {
                tokio::time::sleep(BETWEEN).await;
            }
            body.send_data(piece.bytes().into(), bare && i + 1 == step.body.len())?;
        }
        if !bare {
            tokio::time::sleep(BETWEEN).await;
            let mut trailers = http::HeaderMap::new();
            for (name, value) in &step.trailers {
                trailers.append(http::HeaderName::try_from(name)?, value.parse()?);
            }
            body.send_trailers(trailers)?;
        }
        Ok(())
    }
    .await;
    // A proxy that answers early resets early; its answer still counts.
    drop(sent);
    if let Some(leaves) = step.leaves {
        if leaves == Leaves::Answered {
            let mut answer = response.await?.into_body();
            // Its first piece.
            let _ = poll_fn(|cx| answer.poll_data(cx)).await;
        } else {
            tokio::time::sleep(STAY).await;
        }
        body.send_reset(h2::Reason::CANCEL);
        // Let it go out, on a connection that stays.
        tokio::time::sleep(STAY).await;
        driver.abort();
        return Ok(Seen { start: LEFT.into(), ..Seen::default() });
    }
    let mut seen = Seen::default();
    match response.await {
        Ok(response) => {
            seen.start = response.status().as_u16().to_string();
            let (head, mut body) = response.into_parts();
            for (name, value) in &head.headers {
                seen.headers.push((name.to_string(), value.as_bytes().to_vec()));
            }
            while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await {
                match data {
                    Ok(data) => {
                        body.flow_control().release_capacity(data.len())?;
                        seen.body.extend_from_slice(&data);
                    }
                    Err(_) => {
                        seen.odd.push(CUT.into());
                        break;
                    }
                }
            }
            if let Ok(Some(trailers)) = body.trailers().await {
                let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                    (name.to_string(), value.as_bytes().to_vec())
                };
                seen.trailers = trailers.iter().map(field).collect();
            }
        }
        Err(_) => seen.start = "closed without an answer".into(),
    }
    seen.check_length();
    driver.abort();
    Ok(seen)
}
