//! The client over HTTP/2 without TLS, for what only HTTP/2 shows.

use super::client::{HOST, LEFT, STAY};
use super::message::{CUT, Seen};
use super::pace::Pace;
use crate::row::{Leaves, Step};
use anyhow::{Context, Result};
use h2::client::SendRequest;
use std::future::poll_fn;
use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(5);

/// What is sent.
type Data = Cursor<Vec<u8>>;

/// An open connection.
pub(super) struct Http2 {
    to: SocketAddr,
    runtime: Runtime,
    client: SendRequest<Data>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// Opens one.
    pub(super) fn open(to: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, driver) = runtime.block_on(async {
            let opened = async {
                let stream = tokio::net::TcpStream::connect(to).await?;
                stream.set_nodelay(true)?;
                let (client, connection) = h2::client::Builder::new().handshake::<_, Data>(stream).await?;
                anyhow::Ok((client, tokio::spawn(connection)))
            };
            tokio::time::timeout(LIMIT, opened).await.context("no HTTP/2 connection in time")?
        })?;
        Ok(Self { to, runtime, client, driver })
    }

    /// It leads to this proxy and is open as far as one knows.
    pub(super) fn leads_to(&self, proxy: SocketAddr) -> bool {
        self.to == proxy && !self.driver.is_finished()
    }

    /// Sends the body piece by piece, the last frame ending the stream. Gives the connection back when it can
    /// serve another exchange.
    pub(super) fn exchange(self, step: &Step, pace: &Pace) -> Result<(Seen, Option<Self>)> {
        let Self { to, runtime, client, driver } = self;
        let played = async {
            let (seen, client) = play(client, step, pace).await?;
            if client.is_none() || !pace.keeps {
                driver.abort();
            }
            anyhow::Ok((seen, client, driver))
        };
        let (seen, client, driver) = runtime.block_on(async {
            tokio::time::timeout(LIMIT, played).await.context("no HTTP/2 answer in time")?
        })?;
        Ok((seen, client.map(|client| Self { to, runtime, client, driver })))
    }
}

async fn play(
    client: SendRequest<Data>,
    step: &Step,
    pace: &Pace,
) -> Result<(Seen, Option<SendRequest<Data>>)> {
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
                tokio::time::sleep(pace.between).await;
            }
            body.send_data(Cursor::new(piece.bytes()), bare && i + 1 == step.body.len())?;
        }
        if !bare {
            if !pace.keeps {
                tokio::time::sleep(pace.between).await;
            }
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
        return Ok((Seen { start: LEFT.into(), ..Seen::default() }, None));
    }
    let (mut seen, mut whole) = (Seen::default(), false);
    match response.await {
        Ok(response) => {
            seen.start = response.status().as_u16().to_string();
            let (head, mut body) = response.into_parts();
            for (name, value) in &head.headers {
                seen.headers.push((name.to_string(), value.as_bytes().to_vec()));
            }
            whole = true;
            while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await {
                match data {
                    Ok(data) => {
                        body.flow_control().release_capacity(data.len())?;
                        seen.body.extend_from_slice(&data);
                    }
                    Err(_) => {
                        seen.odd.push(CUT.into());
                        whole = false;
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
    if step.method() != "HEAD" {
        seen.check_length();
    }
    Ok((seen, Some(client).filter(|_| whole)))
}
